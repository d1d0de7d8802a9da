"""The arguments of check_orchestration, what it takes from credentials.json, and what is no Baton."""

from __future__ import annotations

import argparse
import http.server
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.check import advice, command
from orchestrator.check.api import Api
from orchestrator.check.command import NOT_EXAMINED, find_target
from orchestrator.check.server_checks import web
from orchestrator.check.trouble import Refused, Trouble, Unreachable

ROOT = Path(__file__).resolve().parents[2]
KEPT = {"url": "http://baton.example", "username": "operator", "password": "p", "api_key": "kept"}


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"DATA_DIR": str(tmp_path)}


def keep(environ: dict[str, str], text: str) -> None:
    (Path(environ["DATA_DIR"]) / "credentials.json").write_text(text)


def test_address_and_key_come_from_the_first_start(environ: dict[str, str]) -> None:
    keep(environ, json.dumps(KEPT))
    assert find_target(None, None, environ) == command.Target("http://baton.example", "kept")


def test_what_is_given_wins(environ: dict[str, str]) -> None:
    keep(environ, json.dumps(KEPT))
    assert find_target("http://other", None, environ) == command.Target("http://other", "kept")
    assert find_target(None, "given", environ) == command.Target("http://baton.example", "given")


def test_without_a_first_start_here_a_key_is_enough(environ: dict[str, str]) -> None:
    assert find_target(None, "given", environ) == command.Target(command.DEFAULT_URL, "given")


@pytest.mark.parametrize("text", [None, "{", "{}"])
def test_no_key_at_all_is_told_with_the_place_that_was_looked_at(environ: dict[str, str], text: str | None) -> None:
    if text is not None:
        keep(environ, text)
    with pytest.raises(Trouble, match=r"credentials\.json") as caught:
        find_target(None, None, environ)
    assert caught.value.advice == advice.NO_KEY


def test_a_missing_key_ends_with_status_2_before_anything_is_asked(environ: dict[str, str]) -> None:
    output = io.StringIO()
    assert command.run(parse("--json"), output, environ) == NOT_EXAMINED
    [check] = json.loads(output.getvalue())["checks"]
    assert (check["name"], check["outcome"]) == ("arguments", "failed")


@pytest.mark.parametrize(
    "words", [["--url", "localhost:8002"], ["--load", "-1"], ["--timeout", "0"], ["--timeout", "x"]]
)
def test_an_argument_that_makes_no_sense_ends_with_status_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*words)
    assert caught.value.code == NOT_EXAMINED


class SomethingElse(http.server.BaseHTTPRequestHandler):
    """A web server that is not Baton."""

    def do_GET(self) -> None:
        body = b"<html>It works!</html>" if self.path == "/healthz" else b'{"status": "fine"}'
        self.send_response(404 if self.path == "/tasks/" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def elsewhere() -> Iterator[Api]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SomethingElse) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with closing(Api(f"http://127.0.0.1:{server.server_port}", "key")) as api:
            yield api
        server.shutdown()


def test_another_server_at_the_address_is_no_baton(elsewhere: Api) -> None:
    with pytest.raises(Unreachable, match="not as Baton does") as caught:
        web(elsewhere)
    assert caught.value.advice == advice.NOT_BATON


def test_a_refusal_without_our_envelope_is_still_told(elsewhere: Api) -> None:
    with pytest.raises(Refused, match="GET /tasks/ is answered 404: Not Found"):
        elsewhere.get("/tasks/")


def test_the_checks_need_no_settings_and_load_nothing_of_the_server() -> None:
    script = "import sys, orchestrator.check.command; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={}, capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"django", "celery", "psycopg", "redis", "torch"} & set(done.stdout.split())
