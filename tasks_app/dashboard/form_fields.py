"""The submit form of a task type, made of its schema: a field of a schema is a field of the form, with its bounds.

Names are paths into the request ("parameters.width"), so the API's complaints find their field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rest_framework.fields import empty

from tasks_app.schemas import SCHEMAS
from tasks_app.schemas.request import TASK_REQUEST
from tasks_app.schemas.strict import Choice, Flag, Integer, ListOf, Number, Strict, Text
from workers_app.catalogue import SIMULATED
from workers_app.models import Model

LONG = 1_000  # a text that may be longer than this gets more than one line
ENVELOPE = ("priority", "start_timeout", "execution_timeout", "max_attempts", "run_at")
IMAGE = "input.image"
WORDS = {True: "yes", False: "no"}  # of a flag


@dataclass(frozen=True, slots=True)
class FormField:
    path: str
    widget: str  # area, line, number, choice, flag, lines, image
    hint: str
    placeholder: str  # what leaving it empty means
    choices: Sequence[str] = ()

    @property
    def label(self) -> str:
        return self.path.rpartition(".")[2].replace("_", " ").capitalize()

    @property
    def id(self) -> str:
        return f"field-{self.path.replace('.', '-')}"


@dataclass(frozen=True, slots=True)
class FormFields:
    input: list[FormField]
    parameters: list[FormField]
    simulate: list[FormField]  # of models of the simulated runner only
    envelope: list[FormField]

    def all(self) -> list[FormField]:
        return [*self.input, *self.parameters, *self.simulate, *self.envelope]


def fields_for(task_type: str, model: Model | None) -> FormFields:
    """`model` decides what is filled in for what is left out, and caps some bounds."""
    schema = SCHEMAS[task_type]
    defaults, limits = (model.defaults, model.limits) if model else ({}, {})
    simulated = schema.parameters.fields["simulate"] if model and model.runner == SIMULATED else None
    return FormFields(
        _of(schema.input, "input."),
        _of(schema.parameters, "parameters.", defaults, limits),
        _of(simulated, "parameters.simulate.") if isinstance(simulated, Strict) else [],
        [field for name in ENVELOPE if (field := _field(name, TASK_REQUEST.fields[name], None, None))],
    )


def _of(
    serializer: Strict, prefix: str, defaults: Mapping[str, Any] | None = None, limits: Mapping[str, Any] | None = None
) -> list[FormField]:
    found = [
        _field(f"{prefix}{name}", field, (defaults or {}).get(name), (limits or {}).get(name))
        for name, field in serializer.fields.items()
    ]
    return [field for field in found if field is not None]


def _field(path: str, field: Any, default: Any, limit: float | None) -> FormField | None:
    """None for what a form cannot ask for: objects, and lists of them."""
    widget = _widget(path, field)
    if widget is None:
        return None
    if default is None and field.default is not empty and not callable(field.default):
        default = field.default
    hint = " ".join(filter(None, (field.help_text or "", _bounds(field, limit))))
    choices = tuple(WORDS.values()) if widget == "flag" else tuple(map(str, getattr(field, "choices", ())))
    return FormField(path, widget, hint, _said(default), choices)


def _widget(path: str, field: Any) -> str | None:
    match field:
        case Text() if path == IMAGE:
            return "image"
        case Text(high=high):
            return "area" if high > LONG else "line"
        case Integer() | Number():
            return "number"
        case Choice():
            return "choice"
        case Flag():
            return "flag"
        case ListOf(child=Text()):
            return "lines"
        case Strict() | ListOf():
            return None
        case _:
            return "line"


def _bounds(field: Any, limit: float | None) -> str:
    if isinstance(field, ListOf):
        return f"One a line, at most {field.high}."
    if not isinstance(field, Integer | Number) or field.high > 2**53:
        return ""
    high = min(field.high, limit) if limit is not None else field.high
    also = f", a multiple of {field.multiple_of}" if isinstance(field, Integer) and field.multiple_of > 1 else ""
    return f"{field.low:g} to {high:,g}{also}."


def _said(default: Any) -> str:
    if isinstance(default, bool):
        return WORDS[default]
    return "" if default is None else f"{default:g}" if isinstance(default, float) else str(default)
