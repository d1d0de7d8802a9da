"""What the package promises to whoever installs it."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import baton_client
from baton_client import AsyncClient, Client

from tests.client.program import SOURCE, environment

PROJECT = SOURCE.parent


def test_both_clients_have_the_same_calls() -> None:
    renamed = {"close": "aclose", "__enter__": "__aenter__", "__exit__": "__aexit__"}

    def signatures(kind: type) -> dict[str, str]:
        return {
            name: str(inspect.signature(value)).replace("AsyncIterator", "Iterator")
            for name, value in vars(kind).items()
            if inspect.isfunction(value) and (not name.startswith("_") or name in {*renamed, *renamed.values()})
        }

    blocking = {renamed.get(name, name): signature for name, signature in signatures(Client).items()}
    assert blocking == signatures(AsyncClient)
    assert all(
        value.__doc__ == vars(AsyncClient)[name].__doc__ for name, value in vars(Client).items() if name == "run"
    )


def test_it_needs_nothing_of_the_server() -> None:
    forbidden = {"django", "celery", "psycopg", "redis", "torch", "orchestrator", "tasks_app"}
    script = "import sys, baton_client.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd="/", env=environment({}), capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert not forbidden & set(done.stdout.split())


def test_its_version_and_its_types_are_those_of_the_package() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["version"] == baton_client.__version__
    assert (Path(baton_client.__file__).parent / "py.typed").exists()
    assert set(baton_client.__all__) <= set(dir(baton_client))
