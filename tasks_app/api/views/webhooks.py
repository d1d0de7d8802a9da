"""/webhooks/: what was told to clients' addresses, sending it again, and the secret that signs it."""

from __future__ import annotations

from typing import Any

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import query, render
from tasks_app.api.access import delivery_or_404, identity_of
from tasks_app.api.documents import webhooks as documents
from tasks_app.api.paging import link
from tasks_app.models import DeliveryState
from tasks_app.webhooks import deliveries, log, signing
from tasks_app.webhooks.signing import Secret
from tenants_app.roles import Scope


class WebhooksView(APIView):
    @documents.list_deliveries
    def get(self, request: Request) -> Response:
        asked = request.query_params
        query.refuse_unknown(asked, {"task_id", "state", "limit", "before", "after"})
        narrowed = log.DeliveryFilter(query.uuid(asked, "task_id"), query.choice(asked, "state", DeliveryState.values))
        limit = query.integer(asked, "limit", query.PAGE, 1, query.MAX_PAGE)
        before, after = query.uuid(asked, "before"), query.uuid(asked, "after")
        page = log.page(identity_of(request), narrowed, limit, before, after)
        rows = page.deliveries
        return Response(
            {
                "results": [render.delivery(row) for row in rows],
                "next": link(request, "before", rows[-1].pk) if page.older and rows else None,
                "previous": link(request, "after", rows[0].pk) if page.newer and rows else None,
            }
        )


class WebhookResendView(APIView):
    @documents.resend_delivery
    def post(self, request: Request, delivery_id: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        delivery = delivery_or_404(request, delivery_id)
        deliveries.resend(delivery)
        return Response(render.delivery(delivery), status=status.HTTP_202_ACCEPTED)


class WebhookSecretView(APIView):
    needs = Scope.ADMIN

    @documents.read_secret
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        return _secrets(signing.secrets_of(identity_of(request).organization.pk))

    @documents.rotate_secret
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        return _secrets(signing.rotate(identity_of(request).organization.pk), status.HTTP_201_CREATED)


def _secrets(secrets: list[Secret], code: int = status.HTTP_200_OK) -> Response:
    rows: list[dict[str, Any]] = [
        {"secret": each.text, "created_at": each.created_at, "expires_at": each.expires_at} for each in secrets
    ]
    return Response({"results": rows}, status=code, headers={"Cache-Control": "no-store"})
