"""`baton doctor`: can this machine use that Baton, and if not, what is to do?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from baton_client.cli import failures, words
from baton_client.cli.options import Json, connect
from baton_client.cli.output import dump, safe, say
from baton_client.client import Client
from baton_client.errors import (
    BatonError,
    ModelNotFound,
    NoCredentials,
    PermissionDenied,
    Unauthenticated,
    Unreachable,
    WaitTimeout,
)

TASK_TIME = 60.0  # seconds for the trial task
TRIAL = {"max_new_tokens": 8, "temperature": 0}


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    ok: bool
    detail: str
    advice: str = ""


def doctor(
    context: typer.Context,
    task: Annotated[bool, typer.Option("--task/--no-task", help="Also run one small task.")] = True,
    as_json: Json = False,
) -> None:
    """Check that Baton can be used from here.

    Address, key, what the server needs, workers, and one small task.

    Exit status 0 if all is well, else 1. On the server `manage.py check_orchestration` checks much more.
    """
    findings = []
    for finding in _examine(context, task):
        findings.append(finding)
        if not as_json:
            _tell(finding)
    if as_json:
        dump([asdict(finding) for finding in findings])
    raise typer.Exit(failures.OK if all(finding.ok for finding in findings) else failures.FAILED)


def _tell(finding: Finding) -> None:
    say(f"{'✓' if finding.ok else '✗'} {finding.check:<12} {safe(finding.detail)}")
    if finding.advice and not finding.ok:
        say(f"  {'':<12} {finding.advice}")


def _examine(context: typer.Context, with_task: bool) -> Iterator[Finding]:
    """Ends where going on would only repeat what was found."""
    try:
        client = connect(context)
    except NoCredentials as error:
        yield Finding("credentials", False, str(error))
        return
    with client:
        found = client.credentials
        yield Finding("credentials", True, f"{found.url}, the key from {found.source}")
        try:
            yield from _of_server(client)
            yield from _of_key(client)
            yield from _of_work(client)
            if with_task:
                yield _trial(client)
        except BatonError as error:
            yield Finding("server", False, str(error), _advice(error))


def _of_server(client: Client) -> Iterator[Finding]:
    for name, state in client.ready().items():
        yield Finding(name, state.ok, state.detail, READINESS.get(name, ""))


def _of_key(client: Client) -> Iterator[Finding]:
    models = client.models()
    types = len({model.task_type for model in models})
    detail = f"accepted; {len(models)} models of {types} types can be asked for"
    yield Finding("key", bool(models), detail, "Name models in the server's models.toml, and start it again.")


def _of_work(client: Client) -> Iterator[Finding]:
    workers = client.workers()
    online = [worker for worker in workers if worker.status == "online"]
    useful = [worker for worker in online if worker.state == "active" and not worker.quarantine]
    names = ", ".join(f"{worker.name} ({worker.active_tasks} of {worker.slots} slots busy)" for worker in useful[:4])
    detail = f"{len(useful)} of {len(workers)} take work: {names}" if useful else f"none of {len(workers)} takes work"
    yield Finding(
        "workers", bool(useful), detail, "Start one, or `baton resume worker NAME`; `baton workers` lists them."
    )
    for pause in client.pauses():
        yield Finding("pauses", True, f"{pause.kind} {pause.name} is paused by {pause.by} {pause.reason}".rstrip())


def _trial(client: Client) -> Finding:
    """A task of the default language model."""
    try:
        task = client.run("llm", {"prompt": "Hello"}, parameters=TRIAL, priority=10, timeout=TASK_TIME)
    except WaitTimeout as error:
        told = client.explain(error.last_seen.task_id)  # type: ignore[union-attr]
        client.cancel(error.last_seen.task_id)  # type: ignore[union-attr]
        return Finding("task", False, f"not done after {TASK_TIME:g} s: {told.message or told.reason}", "See above.")
    except (ModelNotFound, PermissionDenied) as error:
        return Finding("task", True, f"not tried: {error}")
    except BatonError as error:
        return Finding("task", False, str(error), "`baton explain` and the worker's log say more.")
    timings = task.timings
    waited, ran = words.seconds(timings.queue_seconds), words.seconds(timings.inference_seconds)
    client.delete(task.task_id)
    return Finding("task", True, f"{task.model}: {words.short(task.text or '', 40)!r}; waited {waited}, ran {ran}")


def _advice(error: BatonError) -> str:
    match error:
        case Unauthenticated():
            return "Take a key that the server knows: BATON_API_KEY. The admin makes new ones."
        case PermissionDenied():
            return "This key may not do that: take one of another role."
        case Unreachable():
            return "Start Baton there, or say with BATON_URL where it is."
    return ""


READINESS = {
    "database": "The server's PostgreSQL does not answer at its DATABASE_URL.",
    "migrations": "Run `manage.py migrate` on the server.",
    "broker": "The server's broker does not take messages. Accepted tasks wait for it; none is lost.",
    "scheduler": "Start `manage.py run_scheduler` on the server.",
    "worker": "Start a worker.",
}
