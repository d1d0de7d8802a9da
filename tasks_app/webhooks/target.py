"""Which addresses a webhook may have, as far as their text tells. Where a name leads is checked by `guard`, when the
connection is made.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from tasks_app import guard


def problem_with(url: str) -> str | None:
    """Of an absolute http or https URL: what is wrong, as a predicate, or None."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return "must not hold a user name or password"
    host = (parts.hostname or "").rstrip(".")
    if not settings.ALLOW_PRIVATE_WEBHOOK_HOSTS and _is_inside(host):
        return "must not lead to a private address"
    return None


def _is_inside(host: str) -> bool:
    address = guard.literal(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and not guard.is_public(address))
