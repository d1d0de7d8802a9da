"""From a request's JSON to a stored task: check it, choose its model, take in its image, submit it.

Called by every transport that submits. Raises DRF's ValidationError with the path of what is wrong, and ModelNotFound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import InterfaceError, OperationalError
from rest_framework.exceptions import ValidationError

from tasks_app import artifacts, services
from tasks_app.images import intake
from tasks_app.models import Task
from tasks_app.outcomes import StoredArtifact
from tasks_app.schemas import SCHEMAS, Schema
from tasks_app.schemas.request import TASK_REQUEST
from tenants_app.identity import Identity
from tenants_app.ids import uuid7
from workers_app import selectors
from workers_app.catalogue import SIMULATED
from workers_app.models import Model, TaskType


class ModelNotFound(Exception):
    """No enabled model of that name, or none at all, for the task type."""


def submit(identity: Identity, data: Any) -> Task:
    """Check and store; a task that could not be stored leaves no file behind.

    When the database went away it may have been stored: then its files stay, for the sweep of orphans to judge.
    """
    new = accept(identity, data)
    try:
        return services.submit(identity, new)
    except (OperationalError, InterfaceError):
        raise
    except BaseException:
        artifacts.discard(stored.file for stored in new.input_artifacts)
        raise


def accept(identity: Identity, data: Any) -> services.NewTask:
    """The checked request with every default filled in; its image lies in the artifact storage."""
    asked = TASK_REQUEST.run_validation(data)
    schema = SCHEMAS[asked["task_type"]]
    content = _under("input", schema.input, asked["input"])
    model = _model(asked["task_type"], asked.get("model"))
    parameters = _parameters(schema, model, asked["parameters"])
    task_id = uuid7()
    stored: tuple[StoredArtifact, ...] = ()
    if asked["task_type"] == TaskType.IMAGE_TO_TEXT:
        content["image"], stored = intake.take(content["image"], identity, task_id)
    fields = {**asked, "model": model.name, "input": content, "parameters": parameters}
    return services.NewTask(**fields, id=task_id, input_artifacts=stored)


def _under(name: str, schema: Any, data: Any) -> dict[str, Any]:
    try:
        checked: dict[str, Any] = schema.run_validation(data)
    except ValidationError as error:
        raise ValidationError({name: error.detail}) from None
    return checked


def _model(task_type: str, name: str | None) -> Model:
    model = selectors.find_model(task_type, name)
    if model is not None:
        return model
    if name is None:
        raise ModelNotFound(f"No model of type {task_type} is enabled.")
    raise ModelNotFound(f"There is no model {name!r} of type {task_type}; GET /models/ lists what there is.")


def _parameters(schema: Schema, model: Model, given: Any) -> dict[str, Any]:
    """The model's defaults stand in for the type's, and its limits cap what was asked for."""
    merged = {**model.defaults, **given} if isinstance(given, Mapping) else given
    parameters = _under("parameters", schema.parameters, merged)
    if parameters.get("simulate") is None:
        parameters.pop("simulate", None)
    elif model.runner != SIMULATED:
        raise _wrong_parameter("simulate", "is taken by models of the simulated runner only")
    for name, cap in model.limits.items():
        _check_limit(parameters, name, cap, given)
    return parameters


def _check_limit(parameters: dict[str, Any], name: str, cap: float, given: Mapping[str, Any]) -> None:
    if name == "max_pixels":
        if (parameters.get("width") or 0) * (parameters.get("height") or 0) > cap:
            raise _wrong_parameter("width", f"times height must be at most {cap} pixels for this model")
    elif (parameters.get(name) or 0) > cap:
        if name in given:
            raise _wrong_parameter(name, f"must be at most {cap} for this model")
        parameters[name] = cap  # the type's own default is more than this model takes


def _wrong_parameter(name: str, message: str) -> ValidationError:
    return ValidationError({"parameters": {name: [message]}})
