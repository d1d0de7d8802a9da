"""Deleting many tasks, and moving many in the queue. Selected, worked through and counted as in `bulk`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from tasks_app import hints, services, transitions
from tasks_app.bulk import Selection, Tally, pages, tally_of
from tasks_app.models import Task
from tasks_app.states import FINAL, Status
from tenants_app.identity import Identity


def delete(identity: Identity, selection: Selection, dry_run: bool = False) -> Tally:
    """Words: deleted; active, not_found. What has not ended stays: cancel it first."""
    words: Counter[str] = Counter()
    for page in pages(identity, selection):
        ended = [task for task, status in page.items() if status in FINAL]
        words["deleted"] += len(ended) if dry_run else len(services.delete_many(ended))
        words["active"] += len(page) - len(ended)
    return tally_of(selection, words)


def change_priority(identity: Identity, selection: Selection, priority: int, dry_run: bool = False) -> Tally:
    """Words: changed, unchanged (they had it); not_waiting, not_found."""
    words: Counter[str] = Counter()
    for page in pages(identity, selection):
        waiting = [task for task, status in page.items() if status == Status.PENDING]
        words.update(_foreseen(waiting, priority) if dry_run else _move(waiting, priority, identity.username))
        words["not_waiting"] += len(page) - len(waiting)
    hints.wake_scheduler()
    return tally_of(selection, words)


def _foreseen(waiting: Sequence[UUID], priority: int) -> Counter[str]:
    unchanged = Task.objects.filter(pk__in=waiting, priority=priority).count()
    return Counter(unchanged=unchanged, changed=len(waiting) - unchanged)


def _move(waiting: Sequence[UUID], priority: int, by: str) -> Counter[str]:
    changed = {row.id for row in transitions.change_priority(waiting, priority, by)}
    rest = Task.objects.filter(pk__in=set(waiting) - changed)
    unchanged = rest.filter(status=Status.PENDING, priority=priority).count()
    left = rest.count() - unchanged  # the queue, while this was asked
    return Counter(changed=len(changed), unchanged=unchanged, not_waiting=left)
