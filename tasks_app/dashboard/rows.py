"""Tasks as rows of a list: what a line of text shows of them, without reading inputs and results of any length."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import TextField, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Coalesce, Left

from tasks_app import selectors
from tasks_app.dashboard.durations import spoken
from tasks_app.models import Task
from tasks_app.models.task import TaskQuerySet
from tasks_app.selectors import Shown, TaskFilter
from tenants_app.identity import Identity

SHOWN_CHARACTERS = 140
UNSHOWN = ("input", "parameters", "result", "metadata", "webhook_url")


@dataclass(frozen=True, slots=True)
class Row:
    task: Task
    organization: str
    words: str  # the beginning of what was asked
    percent: int | None  # of a task that is worked on
    took: str  # from its start to its end


@dataclass(frozen=True, slots=True)
class RowPage:
    rows: list[Row]
    newer: UUID | None  # the page of newer tasks comes after this one
    older: UUID | None


def read(
    identity: Identity, narrowed: TaskFilter, limit: int, before: UUID | None = None, after: UUID | None = None
) -> RowPage:
    page = selectors.page(_light(selectors.list_tasks(identity, narrowed)), limit, before, after)
    return RowPage(
        [_row(shown) for shown in page.tasks],
        page.tasks[0].task.pk if page.newer and page.tasks else None,
        page.tasks[-1].task.pk if page.older and page.tasks else None,
    )


def _light(tasks: TaskQuerySet) -> TaskQuerySet:
    prompt, text = KeyTextTransform("prompt", "input"), KeyTextTransform("text", "input")
    last_message = KeyTextTransform("content", KeyTransform("-1", KeyTransform("messages", "input")))
    words = Coalesce(prompt, text, last_message, Value(""), output_field=TextField())
    return tasks.annotate(words=Left(words, SHOWN_CHARACTERS)).defer(*UNSHOWN)


def _row(shown: Shown) -> Row:
    task = shown.task
    fraction = (task.progress or {}).get("fraction")
    worked_on = task.started_at is not None and task.completed_at is None
    percent = round(100 * fraction) if worked_on and fraction is not None else None
    took = (task.completed_at - task.started_at).total_seconds() if task.completed_at and task.started_at else None
    return Row(task, shown.organization, vars(task)["words"], percent, spoken(took) if took is not None else "")
