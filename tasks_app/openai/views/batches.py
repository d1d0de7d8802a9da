"""/v1/batches: many requests from one file, their answers in another."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import query
from tasks_app.api.access import identity_of
from tasks_app.api.errors import AlreadyFinished, NotFound
from tasks_app.openai import batches, documents, render
from tasks_app.openai.access import after, batch_or_404, file_or_404
from tasks_app.openai.ids import BATCH
from tasks_app.openai.negotiation import WhateverIsAccepted
from tasks_app.openai.render_batches import batch as rendered
from tasks_app.openai.requests.batches import BATCH_CREATE_REQUEST


class BatchesView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.list_batches
    def get(self, request: Request) -> Response:
        asked = request.query_params
        query.refuse_unknown(asked, {"after", "limit"})
        page = batches.page(identity_of(request), query.integer(asked, "limit", 20, 1, 100), after(asked, BATCH))
        return Response(render.listed([rendered(shown) for shown in page.batches], page.more))

    @documents.create_batch
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        asked = BATCH_CREATE_REQUEST.run_validation(request.data)
        file = file_or_404(request, asked["input_file_id"])
        try:
            shown = batches.create(identity_of(request), file, asked["endpoint"], asked.get("metadata") or {})
        except FileNotFoundError:
            raise NotFound(f"The content of file {asked['input_file_id']} is gone.") from None
        return Response(rendered(shown))


class BatchView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.read_batch
    def get(self, request: Request, batch_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        return Response(rendered(batch_or_404(request, batch_id)))


class BatchCancelView(APIView):
    content_negotiation_class = WhateverIsAccepted

    @documents.cancel_batch
    def post(self, request: Request, batch_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        shown = batch_or_404(request, batch_id)
        try:
            return Response(rendered(batches.cancel(shown, by=identity_of(request).username)))
        except batches.AlreadyEnded as error:
            raise AlreadyFinished(f"The batch has already ended: it is {error}.") from None
