"""The client for an event loop of asyncio. `Client` has the same calls; what they say to the server is in `calls…`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
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
from baton_client.wire import AsyncWire


class AsyncClient(AsyncWire):
    """One connection pool, for one event loop; close it with `await client.aclose()`, or use `async with`.

    `url` and `api_key` are found as `baton_client.credentials` says when left out. A request gets `timeout` seconds to
    be answered. One that meets a lost connection, 429 or 503 is sent again for up to `patience` seconds, and does
    nothing twice. Every call raises a subclass of `BatonError`.
    """

    # ------------------------------------------------------------ tasks

    async def submit(
        self, task_type: str, input: Json, *, idempotency_key: str | None = None, **fields: Unpack[SubmitFields]
    ) -> Task:
        """The task as it was stored. With an `idempotency_key` of your own also a second call makes it only once."""
        return await self._do(calls.submit(task_type, input, fields, idempotency_key))

    async def get(self, task_id: str) -> Task:
        return await self._do(calls.get(task_id))

    async def wait(self, task_id: str, timeout: float | None = None) -> Task:
        """The task when it has ended, in whatever way. Raises WaitTimeout; the task goes on then."""
        return await self._do(calls.wait(task_id, timeout))

    async def run(
        self,
        task_type: str,
        input: Json,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[SubmitFields],
    ) -> Task:
        """Submit, wait, and the completed task. Raises TaskFailed, TaskCancelled, TaskExpired and WaitTimeout."""
        return await self._do(calls.run(task_type, input, timeout, fields, idempotency_key))

    async def stream(
        self, task_id: str, *, after: str | int | None = None, timeout: float | None = None
    ) -> AsyncIterator[Event]:
        """Its events as they happen: from the first on, or from behind the one whose `id` is `after`, to the last.

        A lost connection is resumed where it was. Raises WaitTimeout."""
        place = Place(task_id, after, timeout, self.patience)
        try:
            while not place.is_over:
                problem: BatonError = Unreachable(CLOSED)
                try:
                    async with self._streamed(place.request()) as response:
                        if response.status_code == 204:  # nothing comes after `after`
                            return
                        place.connected()
                        parser = Parser()
                        async for chunk in response.aiter_bytes():
                            for event in parser.feed(chunk):
                                place.saw(event)
                                yield event
                                if place.is_over:
                                    return
                except httpx.RequestError as error:
                    problem = lost(error)
                except BatonError as error:
                    problem = error
                await asyncio.sleep(place.pause(problem))
        except Late:
            raise WaitTimeout(f"Task {task_id} had not ended after {timeout:g} s.", await self.get(task_id)) from None

    async def cancel(self, task_id: str, *, wait: int = 0) -> Task:
        """`cancelled`, or `cancelling` if it runs and had not stopped after `wait` (0 to 30) seconds.

        Raises AlreadyFinished."""
        return await self._do(calls.cancel(task_id, wait))

    async def retry(self, task_id: str, *, idempotency_key: str | None = None) -> Task:
        """A new task like this one, which has ended. Raises TaskActive."""
        return await self._do(calls.retry(task_id, idempotency_key))

    async def set_priority(self, task_id: str, priority: int) -> Task:
        """Of a task that waits: 1 to 10, 10 is most urgent. Raises TaskActive and AlreadyFinished."""
        return await self._do(calls.set_priority(task_id, priority))

    async def delete(self, task_id: str, *, force: bool = False) -> None:
        """The task and its files. Raises TaskActive, unless `force` cancels it first."""
        return await self._do(calls.delete(task_id, force))

    async def list(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> AsyncIterator[Task]:
        """Tasks, newest first; pages are fetched as they are needed."""
        request: Request | None = calls.first_page(filters, limit)
        count = 0
        while request is not None:
            page = await self._do(one(TaskPage, request))
            for task in page.results:
                if count == limit:
                    return
                yield task
                count += 1
            request = calls.next_page(page)

    async def explain(self, task_id: str) -> Explanation:
        """Why it is not running yet, and when it may."""
        return await self._do(calls.explain(task_id))

    async def attempts(self, task_id: str) -> tuple[Attempt, ...]:
        return await self._do(calls.attempts(task_id))

    # ------------------------------------------------------------ many at once

    async def submit_batch(
        self, tasks: Iterable[Json], *, metadata: Mapping[str, str] | None = None, idempotency_key: str | None = None
    ) -> Batch:
        """Up to 10,000 tasks (`{"task_type": …, "input": …}`), all or none. InvalidInput lists `problems`."""
        return await self._do(calls_many.submit_batch(tasks, metadata or {}, idempotency_key))

    async def batch(self, batch_id: str) -> Batch:
        return await self._do(calls_many.batch(batch_id))

    async def wait_batch(self, batch_id: str, timeout: float | None = None) -> Batch:
        """The batch when all of it has ended. Raises WaitTimeout."""
        return await self._do(calls_many.wait_batch(batch_id, timeout))

    async def batch_results(self, batch_id: str) -> AsyncIterator[Task]:
        """The tasks of a batch that have ended, in the order in which they were submitted; read as they arrive.

        A lost connection is resumed where it was."""
        results = Results(batch_id, self.patience)
        while not results.is_whole:
            try:
                async with self._streamed(results.request()) as response:
                    async for chunk in response.aiter_bytes():
                        for task in results.feed(chunk):
                            yield task
                    results.end()
            except httpx.RequestError as error:
                await asyncio.sleep(results.pause(lost(error)))
            except BatonError as error:
                await asyncio.sleep(results.pause(error))

    async def cancel_batch(self, batch_id: str) -> CancelledBatch:
        return await self._do(calls_many.cancel_batch(batch_id))

    async def retry_batch(self, batch_id: str, *, idempotency_key: str | None = None) -> RetriedBatch:
        """A new batch of what failed or expired in this one; what was retried before is skipped."""
        return await self._do(calls_many.retry_batch(batch_id, idempotency_key))

    async def bulk_cancel(
        self,
        ids: Sequence[str] | None = None,
        *,
        all: bool = False,
        dry_run: bool = False,
        **filters: Unpack[BulkFilters],
    ) -> BulkCancelled:
        """Cancel by id or by filter; `all=True` to mean every task."""
        return await self._do(calls_many.bulk_cancel(ids, filters, all, dry_run))

    async def bulk_retry(
        self,
        ids: Sequence[str] | None = None,
        *,
        all: bool = False,
        dry_run: bool = False,
        **filters: Unpack[BulkFilters],
    ) -> BulkRetried:
        """Try tasks that have ended again; without `status` those that failed or expired."""
        return await self._do(calls_many.bulk_retry(ids, filters, all, dry_run))

    async def bulk_delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        all: bool = False,
        dry_run: bool = False,
        **filters: Unpack[BulkFilters],
    ) -> BulkDeleted:
        """Delete tasks that have ended, and their files; the rest is skipped."""
        return await self._do(calls_many.bulk_delete(ids, filters, all, dry_run))

    async def bulk_priority(
        self,
        priority: int,
        ids: Sequence[str] | None = None,
        *,
        all: bool = False,
        dry_run: bool = False,
        **filters: Unpack[BulkFilters],
    ) -> BulkMoved:
        """Give tasks that wait another priority, 1 to 10; the rest is skipped."""
        return await self._do(calls_many.bulk_priority(priority, ids, filters, all, dry_run))

    # ------------------------------------------------------------ files

    async def upload(self, image: bytes | Path | str) -> Artifact:
        """An image for tasks to read: `{"image": client.upload("picture.png").uri}`. Text is a path."""
        return await self._do(calls.upload(image if isinstance(image, bytes) else Path(image).read_bytes()))

    async def download(self, artifact: Artifact | str, to: Path | str) -> Path:
        """The file at just that path, its sha256 checked; until it is whole nothing is there. Replaces what was."""
        known = artifact if isinstance(artifact, Artifact) else None
        request = connection.artifact_request(artifact)
        persistence = Persistence(self.patience)
        while True:
            try:
                async with self._streamed(request) as response:
                    with Incoming(Path(to), known, response) as file:
                        async for chunk in response.aiter_bytes():
                            file.write(chunk)
                        return file.finish()
            except httpx.RequestError as error:
                await asyncio.sleep(persistence.pause(lost(error)))
            except BatonError as error:
                await asyncio.sleep(persistence.pause(error))

    async def save(self, task: Task, to: Path | str) -> Sequence[Path]:
        """All files of a task: into a folder, or to a path; `files.targets` says under which names."""
        return [await self.download(artifact, path) for artifact, path in targets(task, Path(to))]

    # ------------------------------------------------------------ operating

    async def models(self, task_type: str | None = None) -> tuple[Model, ...]:
        return await self._do(calls_operations.models(task_type))

    async def queues(self) -> tuple[Queue, ...]:
        return await self._do(calls_operations.queues())

    async def pauses(self) -> tuple[Pause, ...]:
        """Everything that is paused: queues, models, organizations."""
        return await self._do(calls_operations.pauses())

    async def pause(self, kind: str, name: str, *, reason: str = "", until: datetime | str | None = None) -> Pause:
        """Start no more tasks of a `queue`, `model` or `organization` for now. Operators only."""
        return await self._do(calls_operations.pause(kind, name, reason, until))

    async def resume(self, kind: str, name: str) -> None:
        return await self._do(calls_operations.resume(kind, name))

    async def workers(self) -> tuple[Worker, ...]:
        return await self._do(calls_operations.workers())

    async def set_worker(self, name: str, state: str, *, reason: str = "") -> Worker:
        """`active`, `paused`, `draining` or `retired`. Operators only."""
        return await self._do(calls_operations.set_worker(name, state, reason))

    async def metrics(self, window: str = "all") -> Json:
        """`window`: 1h, 24h, 7d or all."""
        return await self._do(calls_operations.metrics(window))

    async def health(self) -> Json:
        return await self._do(calls_operations.health())

    async def usage(
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
        return await self._do(calls_operations.usage(since, until, group_by, filters))

    async def ready(self) -> Mapping[str, Readiness]:
        """What the server needs, and whether it has it. Asked once, whatever `patience` says."""
        try:
            response = await self._send(Request("GET", "/readyz"))
        except httpx.RequestError as error:
            raise lost(error) from None
        return calls_operations.readiness(response)
