"""Ids as these clients know them: a prefix and the hexadecimal digits of ours."""

from __future__ import annotations

from uuid import UUID

CHAT, COMPLETION, FILE, BATCH, REQUEST = "chatcmpl-", "cmpl-", "file-", "batch_", "batch_req_"


def shown(prefix: str, row_id: UUID) -> str:
    return f"{prefix}{row_id.hex}"


def parsed(prefix: str, text: str) -> UUID | None:
    """None for what is no id of that kind."""
    try:
        return UUID(hex=text.removeprefix(prefix)) if text.startswith(prefix) else None
    except ValueError:
        return None
