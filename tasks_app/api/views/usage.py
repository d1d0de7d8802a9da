"""/usage/: what tasks have cost, as JSON or CSV."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.http import QueryDict
from django.utils import timezone
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import usage
from tasks_app.api import query
from tasks_app.api.access import identity_of
from tasks_app.api.documents import usage as documents
from tasks_app.api.errors import InvalidInput
from tasks_app.api.renderers import CsvRenderer, OrjsonRenderer
from tasks_app.usage import GROUPS, Question
from workers_app.models import TaskType

DAYS = 30  # that are told of if `from` is left out
USUAL = "day,model"
KNOWN = {"from", "to", "group_by", "organization", "user", "api_key", "task_type", "model", "format"}


class FormatWins(DefaultContentNegotiation):
    """`format=csv` whatever the client's library accepts by itself."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        asked = request.query_params.get("format")
        for renderer in renderers if asked else ():
            if renderer.format == asked:
                return renderer, renderer.media_type
        usual: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        return usual


class UsageView(APIView):
    content_negotiation_class = FormatWins
    renderer_classes = [OrjsonRenderer, CsvRenderer]

    @documents.read_usage
    def get(self, request: Request) -> Response:
        identity, question = identity_of(request), _question(request.query_params)
        try:
            rows = usage.read(identity, question)
        except usage.TooManyRows:
            message = f"These are more than {usage.MAX_ROWS} rows; group by less, or ask for less time."
            raise InvalidInput(message, "group_by") from None
        if isinstance(request.accepted_renderer, CsvRenderer):
            names = usage.names_of(question.group_by)
            table = [names, *([row[name] for name in names] for row in rows)]
            return Response(table, headers={"Content-Disposition": 'attachment; filename="usage.csv"'})
        told = {"from": question.begin, "to": question.end, "group_by": list(question.group_by)}
        return Response({**told, "results": rows, "total": usage.total(identity, question)})

    def handle_exception(self, exc: Exception) -> Response:
        """An error is JSON whatever was asked for."""
        self.request.accepted_renderer, self.request.accepted_media_type = OrjsonRenderer(), "application/json"
        return super().handle_exception(exc)


def _question(asked: QueryDict) -> Question:
    query.refuse_unknown(asked, KNOWN)
    now = timezone.now()
    end = query.moment(asked, "to") or now
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    begin = query.moment(asked, "from") or midnight - timedelta(days=DAYS)
    if begin > end:
        raise InvalidInput("from must not be later than to", "from")
    return Question(
        begin,
        end,
        _groups(asked.get("group_by", USUAL)),
        organization=query.text(asked, "organization"),
        user=query.text(asked, "user"),
        api_key_id=query.uuid(asked, "api_key"),
        task_type=query.choice(asked, "task_type", TaskType.values),
        model=query.text(asked, "model"),
    )


def _groups(text: str) -> list[str]:
    words = [word for word in text.split(",") if word]
    for word in words:
        if word not in GROUPS or words.count(word) > 1:
            raise InvalidInput(f"group_by must be some of {', '.join(GROUPS)}, each once, with commas", "group_by")
    return words
