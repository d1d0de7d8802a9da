"""The client that blocks. `AsyncClient` has the same calls; what they say to the server is in `calls…`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Unpack

import httpx

from baton_client import calls, calls_many, calls_operations, connection
from baton_client.calls import BulkFilters, Filters, Json, SubmitFields
from baton_client.calls_operations import UsageFilters
from baton_client.errors import BatonError, Unreachable, WaitTimeout
from baton_client.events import CLOSED, Event, Late, Parser, Place
from baton_client.files import Incoming, targets
from baton_client.plans import Persistence, Request, lost, one
from baton_client.results import Results
from baton_client.shapes.many import (
    Batch,
    BulkCancelled,
    BulkDeleted,
    BulkMoved,
    BulkRetried,
    CancelledBatch,
    RetriedBatch,
)
from baton_client.shapes.operations import Model, Pause, Queue, Readiness, Worker
from baton_client.shapes.tasks import Artifact, Attempt, Explanation, Task, TaskPage
from baton_client.shapes.usage import Usage
from baton_client.wire import Wire


class Client(Wire):
    """One connection pool, safe to use from several threads; close it, or use `with`.

    `url` and `api_key` are found as `baton_client.credentials` says when left out. A request gets `timeout` seconds to
    be answered. One that meets a lost connection, 429 or 503 is sent again for up to `patience` seconds, and does
    nothing twice. Every call raises a subclass of `BatonError`.
    """

    # ------------------------------------------------------------ tasks

    def submit(
        self, task_type: str, input: Json, *, idempotency_key: str | None = None, **fields: Unpack[SubmitFields]
    ) -> Task:
        """The task as it was stored. With an `idempotency_key` of your own also a second call makes it only once."""
        return self._do(calls.submit(task_type, input, fields, idempotency_key))

    def get(self, task_id: str) -> Task:
        return self._do(calls.get(task_id))

    def wait(self, task_id: str, timeout: float | None = None) -> Task:
        """The task when it has ended, in whatever way. Raises WaitTimeout; the task goes on then."""
        return self._do(calls.wait(task_id, timeout))

    def run(
        self,
        task_type: str,
        input: Json,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[SubmitFields],
    ) -> Task:
        """Submit, wait, and the completed task. Raises TaskFailed, TaskCancelled, TaskExpired and WaitTimeout."""
        return self._do(calls.run(task_type, input, timeout, fields, idempotency_key))

    def stream(self, task_id: str, *, after: str | int | None = None, timeout: float | None = None) -> Iterator[Event]:
        """Its events as they happen: from the first on, or from behind the one whose `id` is `after`, to the last.

        A lost connection is resumed where it was. Raises WaitTimeout."""
        place = Place(task_id, after, timeout, self.patience)
        try:
            while not place.is_over:
                problem: BatonError = Unreachable(CLOSED)
                try:
                    with self._streamed(place.request()) as response:
                        if response.status_code == 204:  # nothing comes after `after`
                            return
                        place.connected()
                        parser = Parser()
                        for chunk in response.iter_bytes():
                            for event in parser.feed(chunk):
                                place.saw(event)
                                yield event
                                if place.is_over:
                                    return
                except httpx.RequestError as error:
                    problem = lost(error)
                except BatonError as error:
                    problem = error
                time.sleep(place.pause(problem))
        except Late:
            raise WaitTimeout(f"Task {task_id} had not ended after {timeout:g} s.", self.get(task_id)) from None

    def cancel(self, task_id: str, *, wait: int = 0) -> Task:
        """`cancelled`, or `cancelling` if it runs and had not stopped after `wait` (0 to 30) seconds.

        Raises AlreadyFinished."""
        return self._do(calls.cancel(task_id, wait))

    def retry(self, task_id: str, *, idempotency_key: str | None = None) -> Task:
        """A new task like this one, which has ended. Raises TaskActive."""
        return self._do(calls.retry(task_id, idempotency_key))

    def set_priority(self, task_id: str, priority: int) -> Task:
        """Of a task that waits: 1 to 10, 10 is most urgent. Raises TaskActive and AlreadyFinished."""
        return self._do(calls.set_priority(task_id, priority))

    def delete(self, task_id: str, *, force: bool = False) -> None:
        """The task and its files. Raises TaskActive, unless `force` cancels it first."""
        return self._do(calls.delete(task_id, force))

    def list(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[Task]:
        """Tasks, newest first; pages are fetched as they are needed."""
        request: Request | None = calls.first_page(filters, limit)
        count = 0
        while request is not None:
            page = self._do(one(TaskPage, request))
            for task in page.results:
                if count == limit:
                    return
                yield task
                count += 1
            request = calls.next_page(page)

    def explain(self, task_id: str) -> Explanation:
        """Why it is not running yet, and when it may."""
        return self._do(calls.explain(task_id))

    def attempts(self, task_id: str) -> tuple[Attempt, ...]:
        return self._do(calls.attempts(task_id))

    # ------------------------------------------------------------ many at once

    def submit_batch(
        self, tasks: Iterable[Json], *, metadata: Mapping[str, str] | None = None, idempotency_key: str | None = None
    ) -> Batch:
        """Up to 10,000 tasks (`{"task_type": …, "input": …}`), all or none. InvalidInput lists `problems`."""
        return self._do(calls_many.submit_batch(tasks, metadata or {}, idempotency_key))

    def batch(self, batch_id: str) -> Batch:
        return self._do(calls_many.batch(batch_id))

    def wait_batch(self, batch_id: str, timeout: float | None = None) -> Batch:
        """The batch when all of it has ended. Raises WaitTimeout."""
        return self._do(calls_many.wait_batch(batch_id, timeout))

    def batch_results(self, batch_id: str) -> Iterator[Task]:
        """The tasks of a batch that have ended, in the order in which they were submitted; read as they arrive.

        A lost connection is resumed where it was."""
        results = Results(batch_id, self.patience)
        while not results.is_whole:
            try:
                with self._streamed(results.request()) as response:
                    for chunk in response.iter_bytes():
                        yield from results.feed(chunk)
                    results.end()
            except httpx.RequestError as error:
                time.sleep(results.pause(lost(error)))
            except BatonError as error:
                time.sleep(results.pause(error))

    def cancel_batch(self, batch_id: str) -> CancelledBatch:
        return self._do(calls_many.cancel_batch(batch_id))

    def retry_batch(self, batch_id: str, *, idempotency_key: str | None = None) -> RetriedBatch:
        """A new batch of what failed or expired in this one; what was retried before is skipped."""
        return self._do(calls_many.retry_batch(batch_id, idempotency_key))

    def bulk_cancel(
        self,
        ids: Sequence[str] | None = None,
        *,
        all: bool = False,
        dry_run: bool = False,
        **filters: Unpack[BulkFilters],
    ) -> BulkCancelled:
        """Cancel by id or by filter; `all=True` to mean every task."""
        return self._do(calls_many.bulk_cancel(ids, filters, all, dry_run))

    def bulk_retry(
        self,
        ids: Sequence[str] | None = None,
        *,
        all: bool = False,
        dry_run: bool = False,
        **filters: Unpack[BulkFilters],
    ) -> BulkRetried:
        """Try tasks that have ended again; without `status` those that failed or expired."""
        return self._do(calls_many.bulk_retry(ids, filters, all, dry_run))

    def bulk_delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        all: bool = False,
        dry_run: bool = False,
        **filters: Unpack[BulkFilters],
    ) -> BulkDeleted:
        """Delete tasks that have ended, and their files; the rest is skipped."""
        return self._do(calls_many.bulk_delete(ids, filters, all, dry_run))

    def bulk_priority(
        self,
        priority: int,
        ids: Sequence[str] | None = None,
        *,
        all: bool = False,
        dry_run: bool = False,
        **filters: Unpack[BulkFilters],
    ) -> BulkMoved:
        """Give tasks that wait another priority, 1 to 10; the rest is skipped."""
        return self._do(calls_many.bulk_priority(priority, ids, filters, all, dry_run))

    # ------------------------------------------------------------ files

    def upload(self, image: bytes | Path | str) -> Artifact:
        """An image for tasks to read: `{"image": client.upload("picture.png").uri}`. Text is a path."""
        return self._do(calls.upload(image if isinstance(image, bytes) else Path(image).read_bytes()))

    def download(self, artifact: Artifact | str, to: Path | str) -> Path:
        """The file at just that path, its sha256 checked; until it is whole nothing is there. Replaces what was."""
        known = artifact if isinstance(artifact, Artifact) else None
        request = connection.artifact_request(artifact)
        persistence = Persistence(self.patience)
        while True:
            try:
                with self._streamed(request) as response, Incoming(Path(to), known, response) as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                    return file.finish()
            except httpx.RequestError as error:
                time.sleep(persistence.pause(lost(error)))
            except BatonError as error:
                time.sleep(persistence.pause(error))

    def save(self, task: Task, to: Path | str) -> Sequence[Path]:
        """All files of a task: into a folder, or to a path; `files.targets` says under which names."""
        return [self.download(artifact, path) for artifact, path in targets(task, Path(to))]

    # ------------------------------------------------------------ operating

    def models(self, task_type: str | None = None) -> tuple[Model, ...]:
        return self._do(calls_operations.models(task_type))

    def queues(self) -> tuple[Queue, ...]:
        return self._do(calls_operations.queues())

    def pauses(self) -> tuple[Pause, ...]:
        """Everything that is paused: queues, models, organizations."""
        return self._do(calls_operations.pauses())

    def pause(self, kind: str, name: str, *, reason: str = "", until: datetime | str | None = None) -> Pause:
        """Start no more tasks of a `queue`, `model` or `organization` for now. Operators only."""
        return self._do(calls_operations.pause(kind, name, reason, until))

    def resume(self, kind: str, name: str) -> None:
        return self._do(calls_operations.resume(kind, name))

    def workers(self) -> tuple[Worker, ...]:
        return self._do(calls_operations.workers())

    def set_worker(self, name: str, state: str, *, reason: str = "") -> Worker:
        """`active`, `paused`, `draining` or `retired`. Operators only."""
        return self._do(calls_operations.set_worker(name, state, reason))

    def metrics(self, window: str = "all") -> Json:
        """`window`: 1h, 24h, 7d or all."""
        return self._do(calls_operations.metrics(window))

    def health(self) -> Json:
        return self._do(calls_operations.health())

    def usage(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        group_by: Sequence[str] | None = None,
        **filters: Unpack[UsageFilters],
    ) -> Usage:
        """What tasks that ended have cost, by day and model unless `group_by` says otherwise; of the last 30 days.

        It groups by day, organization, user, api_key, task_type and model. Raises NotFound from a server that does
        not tell usage."""
        return self._do(calls_operations.usage(since, until, group_by, filters))

    def ready(self) -> Mapping[str, Readiness]:
        """What the server needs, and whether it has it. Asked once, whatever `patience` says."""
        try:
            response = self._send(Request("GET", "/readyz"))
        except httpx.RequestError as error:
            raise lost(error) from None
        return calls_operations.readiness(response)
