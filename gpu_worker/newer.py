"""What this worker's version does not know of a task, because whoever accepted it is newer. Asked before it is run.

Such a task must neither fail here nor run without what it asked for: it is given back for a worker that knows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog

from gpu_worker.runners.registry import RUNNERS
from tasks_app.schemas import SCHEMAS
from tasks_app.schemas.strict import Strict
from tasks_app.transitions import Claimed
from workers_app.models import Model

log = structlog.get_logger(__name__)


def known(kinds: Sequence[str]) -> list[str]:
    """Those of them that this worker can offer: a message for any other would be dropped by Celery."""
    if unknown := [kind for kind in kinds if kind not in SCHEMAS]:
        log.warning("kinds_not_known", kinds=unknown)
    return [kind for kind in kinds if kind in SCHEMAS]


def unknown_in(claimed: Claimed, model: Model) -> str | None:
    """The first thing that this version does not know, in words; None if it knows all."""
    schema = SCHEMAS.get(claimed.task_type)
    if schema is None or (model.runner, claimed.task_type) not in RUNNERS:
        return f"the runner {model.runner} for {claimed.task_type}"
    unknown = [*_fields(schema.input, claimed.input, "input"), *_fields(schema.parameters, claimed.parameters)]
    return f"the field {unknown[0]}" if unknown else None


def _fields(schema: Strict, given: Mapping[str, Any], path: str = "parameters") -> Iterator[str]:
    """Names only: values were checked when the task was accepted, and bounds move between versions."""
    for name, value in given.items():
        field = schema.fields.get(name)
        if field is None:
            yield f"{path}.{name}"
        elif isinstance(field, Strict) and isinstance(value, Mapping):
            yield from _fields(field, value, f"{path}.{name}")
