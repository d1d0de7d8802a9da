"""The command line of the checks, for `manage.py check_orchestration` and `python -m orchestrator.check` alike."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from orchestrator.check import advice
from orchestrator.check.api import Api
from orchestrator.check.examination import Options, examine
from orchestrator.check.report import Outcome, Printer, Result, as_document, failed
from orchestrator.check.trouble import Trouble, Unreachable
from orchestrator.local import configuration
from orchestrator.local.errors import StartError

DESCRIPTION = "Check that a running Baton does its job: health, workers, each task type, live tracking, cancel, load."
DEFAULT_URL = "http://127.0.0.1:8002"
PASSED, FAILED, NOT_EXAMINED = 0, 1, 2  # exit statuses
WEB, ARGUMENTS = "web", "arguments"  # without these there is nothing to examine


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    key: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", type=_url, help="address of Baton; by default the one in DATA_DIR/credentials.json")
    parser.add_argument("--api-key", help="by default the one in DATA_DIR/credentials.json")
    parser.add_argument("--simulated", action="store_true", help="use the simulated model of each type only")
    parser.add_argument("--load", type=_count, default=50, metavar="TASKS", help="size of the load, 0 for none (50)")
    parser.add_argument(
        "--timeout", type=_seconds, default=120.0, metavar="SECONDS", help="that one task may take (120)"
    )
    parser.add_argument("--keep", action="store_true", help="do not delete the tasks of this check")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")


def run(arguments: argparse.Namespace, output: TextIO, environ: Mapping[str, str]) -> int:
    """The exit status: 0 all is well, 1 a check failed, 2 nothing could be examined."""
    started = time.monotonic()
    printer = Printer(output, coloured=output.isatty() and "NO_COLOR" not in environ)
    results: list[Result] = []
    for result in _results(arguments, environ):
        results.append(result)
        if not arguments.json:
            printer.show(result)
    seconds = time.monotonic() - started
    if arguments.json:
        print(json.dumps(as_document(results, seconds), indent=2), file=output)
    else:
        printer.sum_up(results, seconds)
    return _status(results)


def _results(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Result]:
    options = Options(arguments.timeout, arguments.load, arguments.simulated, arguments.keep)
    try:
        target = find_target(arguments.url, arguments.api_key, environ)
        with closing(Api(target.url, target.key)) as api:
            yield from examine(api, options)
    except Unreachable as trouble:
        yield failed(WEB, str(trouble), trouble.advice)
    except Trouble as trouble:
        yield failed(ARGUMENTS, str(trouble), trouble.advice)


def _status(results: Sequence[Result]) -> int:
    wrong = {result.name for result in results if result.outcome is Outcome.FAILED}
    if wrong & {WEB, ARGUMENTS}:
        return NOT_EXAMINED
    return FAILED if wrong else PASSED


def find_target(url: str | None, key: str | None, environ: Mapping[str, str]) -> Target:
    """What was given, completed by what the first start keeps in DATA_DIR/credentials.json. Raises Trouble."""
    if url and key:
        return Target(url, key)
    try:
        path = configuration.read(environ).data_dir / "credentials.json"
        kept = _read(path)
    except StartError as error:
        raise Trouble(str(error)) from error
    key = key or kept.get("api_key")
    if not key:
        raise Trouble(f"no API key was given, and there is no {path}", advice.NO_KEY)
    return Target(url or kept.get("url") or DEFAULT_URL, key)


def _read(path: Path) -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Trouble(f"{path} cannot be read: {error}", advice.NO_KEY) from error
    return kept


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as {DEFAULT_URL}")
    return text.rstrip("/")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 100000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 24 * 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.check", description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(), sys.stdout, os.environ)
