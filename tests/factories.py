"""Rows for tests, made the way the product makes them: a task reaches a status by walking the real transitions."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.utils import timezone

from tasks_app import services, transitions
from tasks_app.decisions import Placement
from tasks_app.models import Task
from tasks_app.outcomes import Completed, Failed, Outcome
from tasks_app.states import Status
from tasks_app.transitions import Claim, Claimed, Finish
from tenants_app import keys
from tenants_app.identity import Identity
from tenants_app.ids import uuid7
from tenants_app.models import Membership, Organization, Role
from workers_app.models import Model, TaskType, Worker, WorkerState

_numbers = itertools.count(1)
INPUTS: dict[str, dict[str, Any]] = {
    "llm": {"prompt": "Hello"},
    "stable_diffusion": {"prompt": "a red circle", "negative_prompt": ""},
    "tts": {"text": "Hello."},
    "image_to_text": {"image": "https://example.com/cat.png"},
}
RESULTS: dict[str, dict[str, Any]] = {
    "llm": {"text": "Hi!", "finish_reason": "stop"},
    "stable_diffusion": {"images": []},
    "tts": {"audio": None},
    "image_to_text": {"text": "a cat"},
}


def make_organization(slug: str = "") -> Organization:
    slug = slug or f"org-{next(_numbers)}"
    return Organization.objects.create(slug=slug, name=slug.title())


def make_user(organization: Organization, *, staff: bool = False, name: str = "") -> User:
    user = User.objects.create_user(
        name or f"user-{next(_numbers)}", password="secret", is_staff=staff, is_superuser=staff
    )
    Membership.objects.create(organization=organization, user=user, role=Role.OPERATOR)
    return user


def make_key(organization: Organization, user: User | None = None) -> str:
    """The key in clear."""
    return keys.create(organization, "test", user)[1]


def make_identity(organization: Organization | None = None) -> Identity:
    return Identity(organization or make_organization(), None, "tester")


def make_simulated_models() -> None:
    for task_type in TaskType.values:
        Model.objects.get_or_create(
            task_type=task_type, name="simulated", defaults={"runner": "simulated", "is_default": True}
        )


def make_worker(name: str = "", **values: Any) -> Worker:
    name = name or f"worker-{next(_numbers)}"
    lives = timezone.now() + timedelta(minutes=5)  # however slow the machine that runs the test is
    defaults = {
        "heartbeat_at": lives,
        "incarnation": uuid4(),
        "hostname": f"{name}@host",
        "slots": 4,
        "kinds": TaskType.values,
    }
    return Worker.objects.create(name=name, **(defaults | values))


def make_task(status: str = Status.PENDING, identity: Identity | None = None, **values: Any) -> Task:
    """A task that went the real way to `status`; `worker` names where, `outcome` how it ended."""
    worker, outcome = values.pop("worker", "worker-x"), values.pop("outcome", None)
    task_type = values.setdefault("task_type", "llm")
    values.setdefault("input", INPUTS[task_type])
    values.setdefault("model", "simulated")
    if status == Status.FAILED and outcome is None:
        outcome = Failed("invalid_input", "it was bad", "input.prompt")
    task = services.submit(identity or make_identity(), services.NewTask(**values))
    _walk(task, Status(status), worker, outcome)
    task.refresh_from_db()
    return task


def dispatch(task: Task, worker: str = "worker-x") -> UUID:
    """pending → dispatched; the attempt's id."""
    attempt_id = uuid7()
    assert transitions.dispatch([Placement(task.id, worker, attempt_id)])
    return attempt_id


def start(task: Task, worker: str = "worker-x") -> Claimed:
    """pending → running."""
    dispatch(task, worker)
    return take(task)


def take(task: Task) -> Claimed:
    """dispatched → running, by its worker; one that is held back now has claimed it earlier."""
    task.refresh_from_db()
    assert task.attempt_id
    assert task.worker
    rows = Worker.objects.filter(pk=task.worker)
    now = rows.values("incarnation", "state", "quarantined_at").first() or {"incarnation": uuid4()}
    rows.update(state=WorkerState.ACTIVE, quarantined_at=None)
    [claimed] = transitions.claim([Claim(task.id, task.attempt_id, uuid4())], task.worker, now["incarnation"])
    rows.update(**now)
    return claimed


def end(claimed: Claimed, outcome: Outcome) -> Status | None:
    return transitions.finish([Finish(claimed, outcome)]).get(claimed.attempt_id)


def _walk(task: Task, status: Status, worker: str, outcome: Outcome | None) -> None:
    match status:
        case Status.PENDING:
            return
        case Status.DISPATCHED:
            dispatch(task, worker)
        case Status.EXPIRED:
            Task.objects.filter(pk=task.pk).update(start_deadline=task.created_at - timedelta(hours=1))
            transitions.expire()
        case Status.CANCELLED:
            services.cancel(task, "tester")
        case _:
            claimed = start(task, worker)
            if status == Status.CANCELLING:
                transitions.request_cancel([task.id], "tester")
            elif status in (Status.COMPLETED, Status.FAILED):
                assert end(claimed, outcome or Completed(RESULTS[task.task_type])) == status
