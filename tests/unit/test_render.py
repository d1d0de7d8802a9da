"""What is rendered and what the OpenAPI document says are the same. No database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework import serializers

from tasks_app.api import render
from tasks_app.api.shapes import results, workers
from tasks_app.api.shapes import tasks as shapes
from tasks_app.models import Artifact, Attempt, Task
from tasks_app.selectors import Shown
from workers_app import stats
from workers_app.models import Model, Worker

NOW = datetime(2030, 1, 31, tzinfo=UTC)
TYPES: dict[type[serializers.Field[Any, Any, Any, Any]], type | tuple[type, ...]] = {
    serializers.UUIDField: UUID,
    serializers.DateTimeField: (datetime, str),  # those inside a JSON column are text already
    serializers.BooleanField: bool,
    serializers.IntegerField: int,
    serializers.FloatField: (float, int),
    serializers.ChoiceField: str,
    serializers.CharField: str,
    serializers.ListField: list,
    serializers.DictField: dict,
}


def agree(shape: Any, value: Any, path: str = "") -> None:
    """Raises AssertionError where a rendered value has other keys or another type than its shape."""
    if value is None:
        assert shape.allow_null, f"{path} is null"
        return
    if isinstance(shape, serializers.ListSerializer):
        for number, item in enumerate(value):
            agree(shape.child, item, f"{path}.{number}")
        return
    if isinstance(shape, serializers.Serializer):
        assert set(value) == set(shape.fields), path
        for name, field in shape.fields.items():
            agree(field, value[name], f"{path}.{name}")
        return
    kind = next(kind for base in type(shape).__mro__ if (kind := TYPES.get(base)))
    assert isinstance(value, kind), f"{path} is {value!r}"
    if isinstance(shape, serializers.ChoiceField):
        assert value in shape.choices, f"{path} is {value!r}"


def full_task() -> Task:
    return Task(
        id=uuid4(), task_type="llm", model="m", input={"prompt": "x"}, parameters={"seed": 1}, priority=5,
        start_timeout=1.5, execution_timeout=600.0, webhook_url="https://e.com/", metadata={"a": "b"}, batch_id=uuid4(),
        retry_of=uuid4(), status="failed", phase="inference", progress={"fraction": 0.5, "step": 1, "total_steps": 2},
        not_before=NOW, attempt=2, worker="w", result={"text": "x"},
        error={"code": "worker_lost", "message": "m", "param": "input", "detail": "Traceback", "attempt": 2},
        cancellation={"requested_at": "2030-01-31T00:00:00+00:00", "mode": "killed"}, queue_seconds=1.0,
        model_load_seconds=0.0, inference_seconds=2.0, gpu_seconds=2.0, input_tokens=1, output_tokens=2, images=0,
        audio_seconds=0.5, created_at=NOW, dispatched_at=NOW, started_at=NOW, completed_at=NOW,
    )  # fmt: skip


ARTIFACT = Artifact(content_type="image/png", size_bytes=3, sha256="0" * 64, expires_at=NOW)
BARE = Task(task_type="tts", model="m", input={}, execution_timeout=1.0, created_at=NOW)
ATTEMPT = Attempt(
    id=uuid4(), number=1, worker="w", started_at=NOW, ended_at=NOW, outcome="lost",
    error={"code": "worker_lost", "message": "m"}, model_load_seconds=0.0, inference_seconds=1.0,
)  # fmt: skip
BARE_WORKER = Worker(name="w", slots=1, kinds=[], heartbeat_at=NOW, started_at=NOW)
WORKER = Worker(
    name="w", slots=4, kinds=["llm"], device={"type": "cuda", "name": "H200", "memory_total_mib": 1, "power_w": 300.0},
    warm_models=[{"name": "m", "memory_mib": 5}], versions={"torch": "2"}, started_at=NOW, heartbeat_at=NOW,
    state="draining", state_by="ada", state_reason="fan", state_at=NOW, quarantined_at=NOW,
    quarantine_reason="a sum came out wrong",
)  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "rendered"),
    [
        (shapes.Task(), render.task(Shown(full_task(), "acme", "jo", [ARTIFACT]))),
        (shapes.Task(), render.task(Shown(BARE, "acme", None))),
        (shapes.Artifact(), render.artifact(ARTIFACT)),
        (shapes.Attempt(), render.attempt(ATTEMPT)),
        (results.Model(), render.model(Model(task_type="llm", name="m", description="d"))),
        (workers.WorkerStats(), stats.of_worker(WORKER, stats.Load(1, 2), NOW, to_operator=True)),
        (workers.WorkerStats(), stats.of_worker(BARE_WORKER, stats.Load(), NOW, to_operator=False)),
    ],
)  # fmt: skip
def test_what_is_rendered_has_the_keys_and_types_that_are_documented(shape: Any, rendered: Any) -> None:
    agree(shape, rendered)


def test_a_traceback_is_rendered_nowhere() -> None:
    assert "Traceback" not in str(render.task(Shown(full_task(), "acme", None)))


def test_the_load_of_a_worker_is_what_runs_and_what_is_on_its_way() -> None:
    shown = stats.of_worker(WORKER, stats.Load(active=2, reserved=1), NOW, to_operator=False)
    assert (shown["active_tasks"], shown["reserved_tasks"], shown["total_load"]) == (2, 1, 3)
    assert shown["gpus"][0]["temperature_c"] is None
    assert shown["gpus"][0]["loaded_models"] == [{"name": "m", "memory_mib": 5}]
