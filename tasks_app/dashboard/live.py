"""Answering a poll: the fragment if it says something new, else 304 and nothing."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.http import parse_etags


def tag_of(*parts: object) -> str:
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=12)
    return f'W/"{digest.hexdigest()}"'


def unchanged(request: HttpRequest, tag: str) -> HttpResponse | None:
    """304 when the page already shows what `tag` names."""
    if tag in parse_etags(request.headers.get("If-None-Match", "")):
        return HttpResponse(status=304, headers={"ETag": tag})
    return None


def fragment(request: HttpRequest, template: str, context: dict[str, Any], tag: str = "") -> HttpResponse:
    """Without a tag its own text is one: a rendering that nobody sees is cheaper than a wrong picture.

    So a fragment must not hold what always changes, such as the present time or a CSRF token.
    """
    content = render_to_string(template, context, request)
    tag = tag or tag_of(content)
    return unchanged(request, tag) or HttpResponse(content, headers={"ETag": tag})
