"""What the buttons of a task's page do."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from tasks_app import services
from tasks_app.capability import NoCapableWorker
from tasks_app.dashboard.access import signed_in, task_or_404
from tasks_app.models import Task, WebhookDelivery
from tasks_app.quotas import LimitReached, NeverFits
from tasks_app.services import CancelAnswer
from tasks_app.webhooks import deliveries
from tenants_app.identity import Identity

SAID = {
    CancelAnswer.CANCELLED: "Cancelled before it started.",
    CancelAnswer.CANCELLING: "Asked to stop; it ends at its next step.",
    CancelAnswer.ALREADY_FINISHED: "It had already ended, so there was nothing to cancel.",
}


@require_POST
@signed_in
def cancel(request: HttpRequest, identity: Identity, task_id: UUID) -> HttpResponse:
    try:
        answer = services.cancel(task_or_404(identity, task_id).task, by=identity.username)
    except Task.DoesNotExist:  # somebody deleted it between the look and the cancel
        raise Http404(f"There is no task {task_id}.") from None
    messages.info(request, SAID[answer])
    return redirect("task-page", task_id)


@require_POST
@signed_in
def retry(request: HttpRequest, identity: Identity, task_id: UUID) -> HttpResponse:
    try:
        again = services.retry(identity, task_or_404(identity, task_id).task)
    except services.NotFinished:
        messages.warning(request, "It has not ended yet; only a task that ended can be tried again.")
        return redirect("task-page", task_id)
    except (NoCapableWorker, LimitReached, NeverFits) as error:
        messages.warning(request, str(error))
        return redirect("task-page", task_id)
    messages.success(request, "Submitted again as this new task.")
    return redirect("task-page", again.pk)


@require_POST
@signed_in
def resend_webhook(request: HttpRequest, identity: Identity, task_id: UUID) -> HttpResponse:
    task = task_or_404(identity, task_id).task
    delivery = WebhookDelivery.objects.select_related("task").filter(task=task).first()
    if delivery is None:
        messages.warning(request, "There is nothing to send.")
    else:
        deliveries.resend(delivery)
        messages.success(request, "The webhook is sent again.")
    return redirect("task-page", task_id)
