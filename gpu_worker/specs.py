"""What the engine needs to know of a model, from its row in the catalogue. Called by attempts, and for a new engine."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from gpu_worker.engine.protocol import ModelSpec
from workers_app.models import Model

log = structlog.get_logger(__name__)


def spec_of(model: Model) -> ModelSpec:
    return ModelSpec(
        name=model.name,
        task_type=model.task_type,
        runner=model.runner,
        source=model.source,
        revision=model.revision or None,
        dtype=model.dtype,
        memory_mib=model.memory_mib,
        pinned=model.pinned,
        keep_alive_seconds=model.keep_alive_seconds,
        options=model.options,
        base=model.base,
        adapter=model.adapter,
    )


def to_load_at_start() -> list[ModelSpec]:
    """Those that WORKER_PRELOAD names, in its order; none while the database is away. Closes its connection."""
    names: list[str] = settings.WORKER_PRELOAD
    if not names:
        return []
    try:
        rows = {row.name: row for row in Model.objects.filter(name__in=names, enabled=True)}
    except (DatabaseError, InterfaceError) as error:
        log.warning("nothing_preloaded", reason=str(error).strip())
        return []
    finally:
        connection.close()
    if unknown := [name for name in names if name not in rows]:
        log.warning("not_in_the_catalogue", models=unknown, setting="WORKER_PRELOAD")
    return [spec_of(rows[name]) for name in names if name in rows]
