"""/tasks/batch/ and /tasks/bulk/…: many tasks in one call."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import batches, bulk
from tasks_app.api import once, query, render_many
from tasks_app.api.access import batch_or_404, identity_of
from tasks_app.api.documents import many as documents
from tasks_app.schemas import batch as submission
from tasks_app.schemas.bulk import BULK_REQUEST, selection_of


class BatchesView(APIView):
    @documents.submit_batch
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        identity = identity_of(request)
        key = once.key_of(request, "batch", request.data)
        made = submission.submit_once(identity, request.data, key)
        batch = batch_or_404(request, str(made.batch.pk))
        shown = {**render_many.batch(batches.standing(batch)), "task_ids": batches.task_ids(batch)}
        return once.answer(shown, shown["urls"]["self"], made.replayed)


class BatchView(APIView):
    @documents.read_batch
    def get(self, request: Request, batch_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        return Response(render_many.batch(batches.standing(batch_or_404(request, batch_id))))


class BatchCancelView(APIView):
    @documents.cancel_batch
    def patch(self, request: Request, batch_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        batch = batch_or_404(request, batch_id)
        shown = render_many.cancelled_batch(batches.cancel(batch, by=identity_of(request).username))
        return Response(shown, status=202 if shown["cancelling"] else 200)

    @documents.cancel_batch_by_post
    def post(self, request: Request, batch_id: str) -> Response:
        return self.patch(request, batch_id)


class BulkCancelView(APIView):
    @documents.bulk_cancel
    def post(self, request: Request) -> Response:
        asked = _asked(request)
        tally = bulk.cancel(identity_of(request), selection_of(asked), asked["dry_run"])
        return Response(render_many.bulk_cancelled(tally, asked["dry_run"]))


class BulkRetryView(APIView):
    @documents.bulk_retry
    def post(self, request: Request) -> Response:
        asked = _asked(request)
        tally = bulk.retry(identity_of(request), selection_of(asked), asked["dry_run"])
        return Response(render_many.bulk_retried(tally, asked["dry_run"]))


def _asked(request: Request) -> dict[str, Any]:
    query.refuse_unknown(request.query_params, ())
    asked: dict[str, Any] = BULK_REQUEST.run_validation(request.data)
    return asked
