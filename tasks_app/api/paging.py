"""The addresses of the pages beside a page."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from rest_framework.request import Request


def link(request: Request, direction: str, row_id: Any) -> str:
    """This list's address, moved on to beyond a row of it; `direction` is before or after."""
    asked: QueryDict = request.query_params.copy()
    for name in ("before", "after"):
        asked.pop(name, None)
    asked[direction] = str(row_id)
    return request.build_absolute_uri(f"{request.path}?{asked.urlencode()}")
