"""Waits until Baton answers, then tells the person at the terminal where it is and how to use it.

Runs in a thread of its own beside the supervisor; asks over HTTP like any client.
"""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.local.console import Console
from tasks_app.states import ACTIVE

PATIENCE = 30.0  # seconds; then the block is printed with what is still missing
INTERVAL = 0.2  # seconds between two questions
ANSWER_TIME = 5.0  # seconds
TASK_ID = """grep -oE '"task_id": ?"[^"]+"' | head -n 1 | cut -d '"' -f 4"""
EXAMPLE = '{"task_type":"llm","input":{"prompt":"Tell me a story."}}'


@dataclass(frozen=True)
class Credentials:
    """What the first start made, as `bootstrap` wrote it."""

    username: str
    password: str
    api_key: str


def announce(address: tuple[str, int], url: str, data_dir: Path, console: Console) -> None:
    """Print the block once; if Baton was not ready by then, say later when it is."""
    missing = _wait(address, time.monotonic() + PATIENCE)
    console.show(block(url, data_dir, read_credentials(data_dir / "credentials.json"), missing))
    if missing:
        _wait(address, float("inf"))
        console.say(f"ready: {url}")


def block(url: str, data_dir: Path, credentials: Credentials | None, missing: str) -> str:
    """The text that greets the operator."""
    lines = ["", f"  Baton is ready: {url}" if not missing else f"  Baton is at {url}, not ready yet: {missing}", ""]
    if credentials:
        lines += [
            f"  Operator   {credentials.username}   password  {credentials.password}",
            f"  API key    {credentials.api_key}",
            f"             (made at the first start, kept in {data_dir / 'credentials.json'})",
        ]
    lines += [f"  Data       {data_dir}   logs in {data_dir / 'log'}", ""]
    if credentials:
        lines += ["  Paste this to run a first task and see its result:", "", example(url, credentials.api_key), ""]
    return "\n".join([*lines, "  Ctrl-C stops everything.", ""])


def example(url: str, api_key: str) -> str:
    """One line for any POSIX shell: submits a task, waits for its end, prints it. It needs nothing but curl."""
    active = "|".join(sorted(ACTIVE))
    steps = (
        f"U={url}/tasks/",
        f"A='Authorization: Bearer {api_key}'",
        f"""T=$(curl -s $U -H "$A" -H 'Content-Type: application/json' -d '{EXAMPLE}' | {TASK_ID})""",
        f"""while R=$(curl -s "$U$T?wait=30" -H "$A"); printf %s "$R" | grep -qE '"status": ?"({active})"'""",
        "do sleep 0.2",
        "done",
        """printf '%s\\n' "$R\"""",
    )
    return "; ".join(steps)


def read_credentials(path: Path) -> Credentials | None:
    """None if there are none: a database that others have set up has its own."""
    if not path.exists():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    return Credentials(values["username"], values["password"], values["api_key"])


def _wait(address: tuple[str, int], deadline: float) -> str:
    """What is missing when the time is up; empty once nothing is."""
    while (missing := _missing(address)) and time.monotonic() < deadline:
        time.sleep(INTERVAL)
    return missing


def _missing(address: tuple[str, int]) -> str:
    for path, describe in PROBES:
        try:
            status, body = _get(address, path)
        except (OSError, http.client.HTTPException):
            return "the web process does not answer"
        if status != http.client.OK:
            return describe(status, body)
    return ""


def _describe_health(status: int, _body: bytes) -> str:
    return f"the web process answers {status}"


def _describe_readiness(status: int, body: bytes) -> str:
    return f"{status} {body[:300].decode('utf-8', errors='replace')}"


PROBES: tuple[tuple[str, Callable[[int, bytes], str]], ...] = (
    ("/healthz", _describe_health),
    ("/readyz", _describe_readiness),
)


def _get(address: tuple[str, int], path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_TIME)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
