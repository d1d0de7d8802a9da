"""The Celery entries of the worker: four tasks under their wire names, one control command, start, drain and stop.

A message carries a task id and, as its Celery id, the attempt's. All else is read from the row by the claim.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any
from uuid import UUID

import structlog
from celery import Task, shared_task, signals
from celery.utils.nodenames import worker_direct
from celery.worker.control import control_command
from django.conf import settings

from gpu_worker import specs
from gpu_worker.engine_face import Engine
from gpu_worker.engine_keeper import EngineKeeper
from gpu_worker.external.pool import ExternalPool
from gpu_worker.worker import Worker
from tasks_app.wire_names import TASK_NAMES

log = structlog.get_logger(__name__)
_worker: Worker | None = None


def _entry(name: str) -> Any:
    @shared_task(name=name, bind=True, ignore_result=True, acks_late=False)
    def run(self: Task, task_id: str = "", *_: Any, **__: Any) -> None:
        assert _worker is not None, "Celery runs a task before its worker has started"
        try:
            task, attempt = UUID(task_id), UUID(self.request.id)
        except (ValueError, TypeError, AttributeError):
            log.warning("message_not_ours", name=name, id=str(self.request.id))
            return
        _worker.execute(task, attempt)

    return run


ENTRIES = [_entry(name) for name in TASK_NAMES.values()]


@control_command(args=[("attempt_ids", list)])
def cancel_attempts(state: Any, attempt_ids: list[str]) -> None:
    """A hint that the rows of these attempts say `cancelling`."""
    if _worker is not None:
        _worker.look_at([UUID(attempt_id) for attempt_id in attempt_ids])


@signals.celeryd_after_setup.connect
def _start(sender: str, instance: Any, **_: Any) -> None:
    global _worker
    name = settings.WORKER_NAME or sender.partition("@")[0]
    # Only its own queue: whatever lies in the default one is for somebody else's workers.
    instance.app.amqp.queues.select([worker_direct(sender).name])
    _worker = Worker(name, hostname=sender, slots=instance.concurrency, engine=_engine())
    _worker.start()


def _engine() -> Engine:
    if settings.WORKER_EXTERNAL:
        return ExternalPool.from_settings()
    return EngineKeeper(settings.STALL_SECONDS, to_load=specs.to_load_at_start)


@signals.worker_shutting_down.connect
def _drain(**_: Any) -> None:
    if _worker is not None:
        _worker.drain()


@signals.worker_ready.connect
def _give_back_on_quit(**_: Any) -> None:
    """SIGQUIT makes Celery wait for the pool inside the signal's handler, without a word to anybody."""
    celerys = signal.getsignal(signal.SIGQUIT)

    def quit_at_once(number: int, frame: FrameType | None) -> None:
        if _worker is not None:
            _worker.give_back()
        if callable(celerys):
            celerys(number, frame)

    signal.signal(signal.SIGQUIT, quit_at_once)


@signals.worker_shutdown.connect
def _stop(**_: Any) -> None:
    if _worker is not None:
        _worker.stop()
