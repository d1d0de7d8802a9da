"""/tasks/batch/ and /tasks/bulk/…: many tasks in one call."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import batches, bulk, bulk_edits
from tasks_app.api import once, query, render, render_many
from tasks_app.api.access import batch_or_404, identity_of
from tasks_app.api.chunks import JsonLines
from tasks_app.api.documents import many as documents
from tasks_app.api.negotiation import WhateverIsAccepted
from tasks_app.schemas import batch as submission
from tasks_app.schemas.bulk import BULK_PRIORITY_REQUEST, BULK_REQUEST, BulkRequest, selection_of


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


class BatchRetryView(APIView):
    @documents.retry_batch
    def post(self, request: Request, batch_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        batch = batch_or_404(request, batch_id)
        key = once.key_of(request, "batch-retry", {"batch_id": batch.pk})
        made = batches.retry(identity_of(request), batch, key)
        return once.marked(Response(render_many.retried_batch(batch, made)), made.replayed)


class BatchResultsView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.batch_results
    def get(self, request: Request, batch_id: str) -> HttpResponseBase:
        query.refuse_unknown(request.query_params, ())
        pages = batches.ended_tasks(batch_or_404(request, batch_id))
        return JsonLines(map(render.task, page) for page in pages)


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


class BulkDeleteView(APIView):
    @documents.bulk_delete
    def post(self, request: Request) -> Response:
        asked = _asked(request)
        tally = bulk_edits.delete(identity_of(request), selection_of(asked), asked["dry_run"])
        return Response(render_many.bulk_deleted(tally, asked["dry_run"]))


class BulkPriorityView(APIView):
    @documents.bulk_priority
    def post(self, request: Request) -> Response:
        asked = _asked(request, BULK_PRIORITY_REQUEST)
        selection, dry_run = selection_of(asked), asked["dry_run"]
        tally = bulk_edits.change_priority(identity_of(request), selection, asked["priority"], dry_run)
        return Response(render_many.bulk_moved(tally, dry_run))


def _asked(request: Request, body: BulkRequest = BULK_REQUEST) -> dict[str, Any]:
    query.refuse_unknown(request.query_params, ())
    asked: dict[str, Any] = body.run_validation(request.data)
    return asked
