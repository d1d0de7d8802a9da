"""Whose turn it is: heaps inside of heaps of organizations, their users, and their queues. Pure; knows no workers.

Between organizations, and between the users of one, goes first who has used least; inside, who is most urgent for its
age. What a level of priority is worth is bounded in both places, so nothing starves and nobody holds the machines for
good.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from uuid import UUID

from tasks_app.scheduling.snapshot import OrganizationView, Queue, Snapshot, WaitingTask

AGEING_SECONDS = 60.0  # a task goes before one that is a level more urgent if it is so much older
URGENCY_SECONDS = 60.0  # GPU-seconds per weight that a level of priority lets a party run ahead of its share

Merit = tuple[float, float, int]  # the smallest is next; the task's id at its end makes all of them different


class Cursor:
    """A queue, and how far this plan has come in it."""

    __slots__ = ("key", "place", "queue")

    def __init__(self, queue: Queue) -> None:
        self.queue, self.place, self.key = queue, 0, queue[0].queue_key

    @property
    def head(self) -> WaitingTask:
        return self.queue[self.place]

    @property
    def left(self) -> bool:
        return self.place < len(self.queue)

    @property
    def rank(self) -> tuple[float, int]:
        head = self.head
        return head.since - AGEING_SECONDS * head.priority, head.task_id.int


class _User:
    __slots__ = ("queues", "used")

    def __init__(self, used: float) -> None:
        self.used = used
        self.queues: list[tuple[tuple[float, int], Cursor]] = []

    @property
    def next(self) -> Cursor:
        return self.queues[0][1]

    @property
    def merit(self) -> Merit:
        return _merit(self.used, self.next.head)

    def go_on(self) -> None:
        """After its next queue has changed."""
        cursor = self.next
        if cursor.left:
            heapq.heapreplace(self.queues, (cursor.rank, cursor))
        else:
            heapq.heappop(self.queues)


class _Organization:
    __slots__ = ("room", "used", "users", "weight")

    def __init__(self, view: OrganizationView) -> None:
        self.weight, self.used = view.weight, view.virtual
        self.room = None if view.limit is None else view.limit - view.running
        self.users: list[tuple[Merit, _User]] = []

    @property
    def next(self) -> _User:
        return self.users[0][1]

    @property
    def merit(self) -> Merit:
        return _merit(self.used, self.next.next.head)

    def clear(self) -> None:
        for _, user in self.users:
            user.queues = []
        self.users = []

    def go_on(self) -> None:
        user = self.next
        if user.queues:
            heapq.heapreplace(self.users, (user.merit, user))
        else:
            heapq.heappop(self.users)


def _merit(used: float, task: WaitingTask) -> Merit:
    return used - URGENCY_SECONDS * task.priority, task.since, task.task_id.int


class Turns:
    """The line of all queues that may be served; `next` stands first in it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._organizations: dict[UUID, _Organization] = {}
        self._users: dict[tuple[UUID, int], _User] = {}
        self._line: list[tuple[Merit, _Organization]] = []

    def line_up(self, cursors: Iterable[Cursor]) -> None:
        """Called when nobody is in line; what was used in this plan so far is remembered."""
        users: dict[tuple[UUID, int], _User] = {}
        for cursor in cursors:
            user = users.setdefault(cursor.key[:2], self._user(*cursor.key[:2]))
            user.queues.append((cursor.rank, cursor))
        organizations: dict[UUID, _Organization] = {}
        for (name, _), user in users.items():
            heapq.heapify(user.queues)
            organizations.setdefault(name, self._organization(name)).users.append((user.merit, user))
        for organization in organizations.values():
            heapq.heapify(organization.users)
        self._line = [(organization.merit, organization) for organization in organizations.values()]
        heapq.heapify(self._line)

    def __bool__(self) -> bool:
        return bool(self._line)

    @property
    def next(self) -> Cursor:
        return self._line[0][1].next.next

    @property
    def has_room(self) -> bool:
        """May the organization whose turn it is have one more task on workers?"""
        room = self._line[0][1].room
        return room is None or room > 0

    def served(self, seconds: float, placed: bool) -> None:
        """The task that stood first got a slot for so long, now (`placed`) or soon."""
        organization = self._line[0][1]
        user = organization.next
        user.used += seconds
        organization.used += seconds / organization.weight
        if organization.room is not None and placed:
            organization.room -= 1
        user.next.place += 1
        self._go_on()

    def step_aside(self) -> None:
        """The queue that stood first leaves the line with all that is in it."""
        heapq.heappop(self._line[0][1].next.queues)
        self._go_on(changed=False)

    def organization_steps_aside(self) -> list[Cursor]:
        """All queues of the organization that stood first leave the line."""
        _, organization = heapq.heappop(self._line)
        cursors = [cursor for _, user in organization.users for _, cursor in user.queues]
        organization.clear()
        return cursors

    def clear(self) -> None:
        """Everybody leaves the line."""
        for _, organization in self._line:
            organization.clear()
        self._line = []

    def _go_on(self, changed: bool = True) -> None:
        organization = self._line[0][1]
        if changed:
            organization.next.go_on()
        organization.go_on()
        if organization.users:
            heapq.heapreplace(self._line, (organization.merit, organization))
        else:
            heapq.heappop(self._line)

    def _organization(self, name: UUID) -> _Organization:
        if name not in self._organizations:
            self._organizations[name] = _Organization(self._snapshot.organizations.get(name, OrganizationView()))
        return self._organizations[name]

    def _user(self, organization: UUID, user: int) -> _User:
        key = organization, user
        if key not in self._users:
            self._users[key] = _User(self._snapshot.users.get(key, 0.0))
        return self._users[key]
