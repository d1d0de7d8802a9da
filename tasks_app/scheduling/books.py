"""Keeping what the leader knows: shares and learnt times, read by a new leader, stored by the one that leads."""

from __future__ import annotations

from dataclasses import asdict, fields

from django.db import transaction
from django.db.models import Q

from tasks_app.models import LearntTime, ShareAccount
from tasks_app.scheduling.fair_share import Account
from tasks_app.scheduling.learning import Key, Learnt, Times
from tasks_app.scheduling.memory import Memory

LEARNT = [field.name for field in fields(Learnt)]


def load() -> Memory:
    rows = ShareAccount.objects.values_list("organization", "user", "virtual_seconds")
    return Memory({(organization, user): virtual for organization, user, virtual in rows}, _learnt())


def times() -> Times:
    """For readers beside the scheduler: at most a second behind it."""
    return Times(_learnt())


@transaction.atomic
def store(memory: Memory) -> None:
    """Three statements at most; none if nothing has ended."""
    accounts, forgotten = memory.ledger.take_changes()
    if forgotten:
        ShareAccount.objects.filter(_any_of(forgotten)).delete()
    ShareAccount.objects.bulk_create(
        [
            ShareAccount(organization_id=organization, user=user, virtual_seconds=virtual)
            for (organization, user), virtual in accounts.items()
        ],
        update_conflicts=True,
        unique_fields=["organization", "user"],
        update_fields=["virtual_seconds"],
    )
    LearntTime.objects.bulk_create(
        [_row(key, learnt) for key, learnt in memory.take_taught().items()],
        update_conflicts=True,
        unique_fields=["task_type", "model", "worker"],
        update_fields=LEARNT,
    )


def _learnt() -> list[tuple[Key, Learnt]]:
    rows = LearntTime.objects.values_list("task_type", "model", "worker", *LEARNT)
    return [((task_type, model, worker), Learnt(*values)) for task_type, model, worker, *values in rows]


def _row(key: Key, learnt: Learnt) -> LearntTime:
    task_type, model, worker = key
    return LearntTime(task_type=task_type, model=model, worker=worker, **asdict(learnt))


def _any_of(accounts: set[Account]) -> Q:
    condition = Q()
    for organization, user in accounts:
        condition |= Q(organization=organization, user=user)
    return condition
