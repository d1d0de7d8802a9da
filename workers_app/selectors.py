"""Reading workers and models. Called by the API and the pages."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.db.models import Case, Q, QuerySet, Value, When
from django.utils import timezone

from workers_app.catalogue import SIMULATED
from workers_app.models import Model, Worker, WorkerState

CACHE_SECONDS = 1.0  # so long a model that was changed or disabled is still taken as it was
FORGOTTEN_AFTER = timedelta(hours=1)  # a worker that left in good order or was lost so long ago is history


class _ModelCache:
    """Models that were found lately. Looking one up costs half of a submit; what is not found is asked for again."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None], tuple[float, Model]] = {}

    def find(self, task_type: str, name: str | None) -> Model | None:
        hit = self._found.get((task_type, name))
        if hit and time.monotonic() - hit[0] < CACHE_SECONDS:
            return hit[1]
        model = _find_model(task_type, name)
        if model is not None:
            self._found[task_type, name] = (time.monotonic(), model)
        return model

    def clear(self) -> None:
        self._found.clear()


model_cache = _ModelCache()


def find_model(task_type: str, name: str | None) -> Model | None:
    """The enabled model of that name. Without a name: the default, else the first; a simulated one only if alone."""
    return model_cache.find(task_type, name)


def _find_model(task_type: str, name: str | None) -> Model | None:
    enabled = Model.objects.filter(task_type=task_type, enabled=True)
    if name is not None:
        return enabled.filter(name=name).first()
    simulated_last = Case(When(runner=SIMULATED, then=Value(1)), default=Value(0))
    return enabled.order_by("-is_default", simulated_last, "name").first()


def enabled_models(task_type: str | None = None) -> QuerySet[Model]:
    models = Model.objects.filter(enabled=True).order_by("task_type", "-is_default", "name")
    return models.filter(task_type=task_type) if task_type else models


def present_workers() -> QuerySet[Worker]:
    """All but those that stopped, or gave no sign of life, for more than an hour; the retired, only while they live."""
    now = timezone.now()
    recently, lives = now - FORGOTTEN_AFTER, now - timedelta(seconds=settings.LEASE_SECONDS)
    gone = Q(stopped_at__isnull=False) | Q(heartbeat_at__lt=lives)
    known = Worker.objects.filter(heartbeat_at__gt=recently).exclude(stopped_at__lt=recently)
    return known.exclude(Q(state=WorkerState.RETIRED) & gone)


def find_worker(name: str) -> Worker | None:
    """Any that ever registered."""
    return Worker.objects.filter(pk=name).first()


def registered_workers() -> QuerySet[Worker]:
    """Everybody that ever came and was not retired, whether online or not."""
    return Worker.objects.exclude(state=WorkerState.RETIRED).order_by("name")
