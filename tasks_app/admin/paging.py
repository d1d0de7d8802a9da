"""Counting no further than anybody pages: an exact count of a million rows costs more than the page."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

COUNTED = 10_000  # rows


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    @cached_property
    def count(self) -> int:
        assert isinstance(self.object_list, QuerySet), "the admin pages through querysets only"
        return min(self.object_list[: COUNTED + 1].count(), COUNTED)
