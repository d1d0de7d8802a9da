"""/ui/tasks/{id}/ - one task: where it stands, where its time went, what it was given and what came out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import select_template
from django.utils import timezone
from django.views.decorators.http import require_safe

from tasks_app import selectors
from tasks_app.dashboard import curl, form_values, live, timeline, waiting
from tasks_app.dashboard.access import signed_in, task_or_404
from tasks_app.models import Artifact, Task, WebhookDelivery
from tasks_app.retries import RETRYABLE
from tasks_app.selectors import Shown
from tasks_app.states import ACTIVE, FINAL, Status
from tenants_app.identity import Identity

RESULTS = "dashboard/results"  # a template for each type; any other is shown as JSON
OFFERED = frozenset({Status.PENDING, Status.DISPATCHED, Status.RUNNING})  # to cancel


@require_safe
@signed_in
def page(request: HttpRequest, identity: Identity, task_id: UUID) -> HttpResponse:
    shown = task_or_404(identity, task_id)
    context = _context(request, shown, waiting.why(shown.task), _delivery_of(shown.task))
    return render(request, "dashboard/task.html", context)


@require_safe
@signed_in
def fragment(request: HttpRequest, identity: Identity, task_id: UUID) -> HttpResponse:
    """Costs three statements as long as nothing changes, and less for a task that does not wait."""
    shown = task_or_404(identity, task_id)
    task, why, delivery = shown.task, waiting.why(shown.task), _delivery_of(shown.task)
    told = (delivery.state, delivery.tries) if delivery else None
    tag = live.tag_of(task.pk, task.last_seq, task.phase, task.progress, why, told)
    return live.unchanged(request, tag) or live.fragment(
        request, "dashboard/_task.html", _context(request, shown, why, delivery), tag
    )


def _delivery_of(task: Task) -> WebhookDelivery | None:
    return WebhookDelivery.objects.filter(task=task).first() if task.webhook_url else None


def _context(request: HttpRequest, shown: Shown, why: str, delivery: WebhookDelivery | None) -> dict[str, Any]:
    task = shown.task
    attempts = selectors.attempts_of(task)
    fraction = (task.progress or {}).get("fraction")
    return {
        "task": task,
        "owner": {"user": shown.user or "an API key", "organization": shown.organization},
        "active": task.status in ACTIVE,
        "cancellable": task.status in OFFERED,
        "final": task.status in FINAL,
        "percent": None if fraction is None else round(100 * fraction),
        "why": why,
        "timeline": timeline.of(task, attempts, timezone.now()),
        "attempts": attempts,
        "events": [(event, orjson.dumps(event.data).decode()) for event in task.events.order_by("seq")],
        "result_template": select_template([f"{RESULTS}/{task.task_type}.html", f"{RESULTS}/other.html"]),
        "delivery": delivery,
        "live": task.status in ACTIVE or (delivery is not None and delivery.is_fresh),
        "outputs": [_output(row, task) for row in shown.outputs],
        "source": _source(task),
        "parameters": {name: text for name, text in form_values.typed_of(task.parameters).items() if text},
        "result_json": orjson.dumps(task.result, option=orjson.OPT_INDENT_2).decode() if task.result else "",
        "retryable": (task.error or {}).get("code") in RETRYABLE,
        "curl": curl.of(task),
        "shows_tracebacks": bool(getattr(request.user, "is_staff", False)),
    }


def _output(row: Artifact, task: Task) -> dict[str, Any]:
    """A stored file with what the result says of it: size and seed of an image, duration of a sound."""
    result = task.result or {}
    told = [*result.get("images", []), *([result["audio"]] if result.get("audio") else [])]
    about: dict[str, Any] = next((each for each in told if each.get("artifact_id") == str(row.pk)), {})
    return {"row": row, "url": f"/artifacts/{row.pk}", "about": about}


def _source(task: Task) -> dict[str, str]:
    """The image that a task reads. Only our own is shown: another host would learn who looks at it, and when."""
    image = task.input.get("image") or ""
    if image.startswith("artifact://"):
        return {"shown": f"/artifacts/{image.removeprefix('artifact://')}"}
    return {"linked": image} if image else {}
