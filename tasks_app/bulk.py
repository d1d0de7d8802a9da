"""Cancelling and retrying many tasks that are named by id or by a filter. Called by the API and the admin.

Works through them in statements and commits of bounded size, so a call that is cut off has done a part of its work,
whole; asked again it does the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.db import transaction

from tasks_app import crash_points, hints, selectors, services
from tasks_app.models import Task
from tasks_app.models.task import TaskQuerySet
from tasks_app.selectors import TaskFilter
from tasks_app.states import FINAL, STOPPABLE, Status
from tenants_app.identity import Identity

CHUNK = 500  # tasks of one commit
MAX_IDS = 10_000
FAILURES = frozenset({Status.FAILED, Status.EXPIRED})  # what a retry by filter takes if no status is named


@dataclass(frozen=True, slots=True)
class Selection:
    """`ids`, or else what a filter leaves. An empty filter means all."""

    ids: Sequence[UUID] | None = None
    narrowed: TaskFilter = field(default_factory=TaskFilter)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the tasks, by word: what was done, or why it was not. Each task is counted once."""

    matched: int
    words: Counter[str]


def cancel(identity: Identity, selection: Selection, dry_run: bool = False) -> Tally:
    """Words: cancelled, cancelling; already_cancelled, already_cancelling, already_finished, not_found."""
    words: Counter[str] = Counter()
    for page in pages(identity, selection):
        words.update(_foreseen(page) if dry_run else _cancel(page, identity.username))
    return tally_of(selection, words)


def _cancel(page: dict[UUID, Status], by: str) -> Counter[str]:
    stoppable = [task for task, status in page.items() if status in STOPPABLE]
    stopped = services.cancel_many(stoppable, by) if stoppable else {}
    # What came between the look and the cancel has changed since.
    lost = Task.objects.filter(pk__in=[task for task in stoppable if task not in stopped]).values_list("pk", "status")
    rest = {task: status for task, status in page.items() if status not in STOPPABLE} | {
        task: Status(status) for task, status in lost
    }
    words = Counter(str(status) for status in stopped.values()) + Counter(map(_why_not_cancelled, rest.values()))
    words["not_found"] += len(page) - words.total()  # deleted meanwhile
    return words


def _foreseen(page: dict[UUID, Status]) -> Counter[str]:
    """What a cancel would do now."""
    return Counter(
        (Status.CANCELLING if status == Status.RUNNING else Status.CANCELLED)
        if status in STOPPABLE
        else _why_not_cancelled(status)
        for status in page.values()
    )


def _why_not_cancelled(status: Status) -> str:
    return f"already_{status}" if status in (Status.CANCELLED, Status.CANCELLING) else "already_finished"


def retry(identity: Identity, selection: Selection, dry_run: bool = False) -> Tally:
    """Words: retried; already_retried, not_finished, not_found.

    What was retried before is left alone, so that asking twice does not double the work. A filter that names no
    status means those that failed or expired.
    """
    if selection.ids is None and not selection.narrowed.statuses:
        selection = replace(selection, narrowed=replace(selection.narrowed, statuses=FAILURES))
    words: Counter[str] = Counter()
    for page in pages(identity, selection):
        words.update(_retry(identity, list(page), dry_run))
        hints.wake_scheduler()
    return tally_of(selection, words)


def _retry(identity: Identity, ids: Sequence[UUID], dry_run: bool) -> Counter[str]:
    """One commit. Of two that retry the same tasks one waits for the other's, and then sees what it made."""
    with transaction.atomic():
        locked = Task.objects.select_related("organization").select_for_update(of=("self",), no_key=True)
        tasks = list(locked.filter(pk__in=ids).order_by("pk"))
        retried = set(Task.objects.filter(retry_of__in=ids).values_list("retry_of", flat=True))
        ended = [task for task in tasks if task.status in FINAL]
        fresh = [task for task in ended if task.pk not in retried]
        if not dry_run:
            services.insert([services.again(identity, task) for task in fresh])
        crash_points.reach("bulk_retry.before_commit")
    crash_points.reach("bulk_retry.after_commit")
    return Counter(
        retried=len(fresh),
        already_retried=len(ended) - len(fresh),
        not_finished=len(tasks) - len(ended),
        not_found=len(ids) - len(tasks),  # deleted meanwhile
    )


def pages(identity: Identity, selection: Selection) -> Iterator[dict[UUID, Status]]:
    """Status by id, CHUNK tasks at a time and the oldest first, so that retries queue in the old order."""
    if selection.ids is not None:
        ids = sorted(set(selection.ids))
        visible = Task.objects.visible_to(identity)
        for start in range(0, len(ids), CHUNK):
            yield _read(visible.filter(pk__in=ids[start : start + CHUNK]))
        return
    tasks = selectors.list_tasks(identity, selection.narrowed)
    newest = tasks.order_by("-pk").values_list("pk", flat=True).first()
    if newest is None:
        return
    tasks = tasks.filter(pk__lte=newest)  # else a retry by filter would meet its own tasks
    page = _read(tasks)
    while page:
        yield page
        page = _read(tasks.filter(pk__gt=max(page)))


def _read(tasks: TaskQuerySet) -> dict[UUID, Status]:
    rows = tasks.order_by("pk").values_list("pk", "status")[:CHUNK]
    return {pk: Status(status) for pk, status in rows}


def tally_of(selection: Selection, words: Counter[str]) -> Tally:
    matched = words.total() - words["not_found"]
    if selection.ids is not None:
        words["not_found"] = len(set(selection.ids)) - matched
    return Tally(matched, words)
