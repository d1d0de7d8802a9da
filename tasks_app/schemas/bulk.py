"""The body of `POST /tasks/bulk/…`: which tasks are meant. The filter has the names of the list's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tasks_app.bulk import MAX_IDS, Selection
from tasks_app.retries import FailureCode
from tasks_app.schemas.strict import MESSAGES, Choice, Flag, Integer, ListOf, Moment, Strict, Text
from tasks_app.selectors import TaskFilter
from tasks_app.states import CELERY_WORDS, Status, parse_status
from workers_app.models import TaskType

CODES = list(FailureCode)  # settings name this list, so that the OpenAPI document has one name for it
WORDS = [*Status, *CELERY_WORDS]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # ids know no earlier time
CENTURY = timedelta(days=36_500)


class Id(serializers.UUIDField):
    default_error_messages = MESSAGES

    def to_internal_value(self, data: Any) -> UUID:
        try:
            return UUID(data)
        except (ValueError, AttributeError, TypeError):
            raise serializers.ValidationError("must be an id") from None


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": WORDS}, "minItems": 1, "maxItems": 20})
class Statuses(ListOf):
    """Celery's words too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Choice(WORDS), 1, 20, **options)

    def to_internal_value(self, data: Any) -> Any:
        return frozenset[Status]().union(*map(parse_status, super().to_internal_value(data)))


class Time(Moment):
    def __init__(self, **options: Any) -> None:
        super().__init__(CENTURY, **options)

    def to_internal_value(self, value: Any) -> Any:
        moment = super().to_internal_value(value)
        if moment < EPOCH:
            raise serializers.ValidationError("must be 1970 or later")
        return moment


class BulkFilter(Strict):
    status = Statuses(required=False)
    task_type = Choice(TaskType.values, required=False)
    model = Text(1, 200, required=False)
    worker_id = Text(1, 200, required=False)
    batch_id = Id(required=False)
    user = Text(1, 200, required=False)
    created_after = Time(required=False)
    created_before = Time(required=False)
    q = Text(1, 200, required=False, help_text="As in the list of tasks.")
    error_code = Choice(CODES, required=False)
    error_message = Text(1, 10_000, required=False, help_text="Exactly this one.")


class BulkRequest(Strict):
    """Either `ids`, or `filter`, or `all`."""

    ids = ListOf(Id(), 1, MAX_IDS, required=False)
    filter = BulkFilter(required=False)
    all = Flag(default=False, help_text="Must be true if no filter narrows what is meant.")
    dry_run = Flag(default=False, help_text="Only say what would be done.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "ids" in attrs and ("filter" in attrs or attrs["all"]):
            raise serializers.ValidationError({"ids": ["must be left out when there is a filter or all"]})
        if attrs["all"] and attrs.get("filter"):
            raise serializers.ValidationError({"all": ["must be left out when a filter narrows what is meant"]})
        if "ids" not in attrs and not attrs["all"] and not attrs.get("filter"):
            raise serializers.ValidationError({"filter": ["is required (or ids, or all: true for all tasks)"]})
        return attrs


class PriorityBody(Strict):
    priority = Integer(1, 10, help_text="10 is most urgent.")


class BulkPriorityRequest(BulkRequest):
    priority = Integer(1, 10, help_text="10 is most urgent.")


BULK_REQUEST = BulkRequest()
BULK_PRIORITY_REQUEST = BulkPriorityRequest()
PRIORITY_BODY = PriorityBody()


def selection_of(asked: dict[str, Any]) -> Selection:
    """Of a checked request."""
    narrowed = dict(asked.get("filter", {}))
    return Selection(asked.get("ids"), TaskFilter(statuses=narrowed.pop("status", frozenset()), **narrowed))
