"""/ui/submit/{task_type}/ - a form for each task type, judged by the same schema as the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import ValidationError

from tasks_app import selectors
from tasks_app.capability import NoCapableWorker
from tasks_app.dashboard import form_fields, form_values
from tasks_app.dashboard.access import signed_in
from tasks_app.dashboard.form_fields import FormField, FormFields
from tasks_app.quotas import LimitReached, NeverFits
from tasks_app.schemas import SCHEMAS, submission
from tenants_app.identity import Identity
from workers_app.models import Model, TaskType
from workers_app.selectors import enabled_models, find_model


@dataclass(frozen=True, slots=True)
class Asked:
    """A field with what was typed into it and what is wrong with that."""

    field: FormField
    value: str
    problem: str


@dataclass(frozen=True, slots=True)
class Form:
    task_type: str
    models: list[Model]
    model: Model | None
    fields: FormFields
    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    tabs = TaskType.choices

    @property
    def input(self) -> list[Asked]:
        return self._asked(self.fields.input)

    @property
    def parameters(self) -> list[Asked]:
        return self._asked(self.fields.parameters)

    @property
    def simulate(self) -> list[Asked]:
        return self._asked(self.fields.simulate)

    @property
    def envelope(self) -> list[Asked]:
        return self._asked(self.fields.envelope)

    @property
    def parameters_open(self) -> bool:
        return any(each.value or each.problem for each in (*self.parameters, *self.simulate))

    @property
    def envelope_open(self) -> bool:
        return any(each.value or each.problem for each in self.envelope)

    @property
    def general_problems(self) -> list[str]:
        """What no field of the form can show."""
        known = {field.path for field in self.fields.all()}
        return [f"{path} {text}".strip() for path, text in self.problems.items() if path not in known]

    def _asked(self, fields: list[FormField]) -> list[Asked]:
        return [Asked(each, self.typed.get(each.path, ""), self.problems.get(each.path, "")) for each in fields]


def empty_form(task_type: str, typed: Mapping[str, str] | None = None) -> Form:
    typed = typed or {}
    models = list(enabled_models(task_type))
    model = find_model(task_type, typed.get("model") or None) or find_model(task_type, None)
    return Form(task_type, models, model, form_fields.fields_for(task_type, model), typed)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def page(request: HttpRequest, identity: Identity, task_type: str) -> HttpResponse:
    if task_type not in SCHEMAS:
        raise Http404(f"There is no task type {task_type}.")
    if request.method == "POST":
        return _submit(request, identity, empty_form(task_type, request.POST.dict()))
    return _show(request, empty_form(task_type, _prefilled(request, identity, task_type)))


def _submit(request: HttpRequest, identity: Identity, form: Form) -> HttpResponse:
    image = request.FILES.get(form_fields.IMAGE)
    model = form.typed.get("model", "")
    body = form_values.request_of(form.task_type, model, form.fields.all(), form.typed, image)
    try:
        task = submission.submit(identity, body)
    except ValidationError as error:
        return _refused(request, form, form_values.problems_of(error.detail))
    except (submission.ModelNotFound, NoCapableWorker, LimitReached, NeverFits) as error:
        return _refused(request, form, {"": str(error)})
    messages.success(request, "Submitted.")
    return redirect("task-page", task.pk)


def _refused(request: HttpRequest, form: Form, problems: Mapping[str, str]) -> HttpResponse:
    refused = Form(form.task_type, form.models, form.model, form.fields, form.typed, problems)
    return _show(request, refused, status=400)


def _show(request: HttpRequest, form: Form, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "inline": "inline" in request.GET}
    return render(request, "dashboard/submit.html", context, status=status)


def _prefilled(request: HttpRequest, identity: Identity, task_type: str) -> dict[str, str]:
    """From an earlier task that the address names with `like`, or from fields in the address."""
    try:
        like = selectors.find_task(identity, UUID(request.GET["like"])) if "like" in request.GET else None
    except ValueError:
        like = None
    if like is None or like.task.task_type != task_type:
        return request.GET.dict()
    asked = {"model": like.task.model, "input": like.task.input, "parameters": like.task.parameters}
    return form_values.typed_of(asked)
