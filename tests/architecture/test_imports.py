"""The layers that the design promises, checked on the real imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_every_import_contract_is_kept():
    result = run("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("start", "forbidden"),
    [
        ("import orchestrator.asgi", {"torch", "transformers", "diffusers", "gpu_worker"}),
        ("import gpu_worker.engine.loop, gpu_worker.runners.simulated", {"django", "celery", "torch", "tasks_app"}),
        ("import orchestrator.local.__main__", {"django", "celery", "torch"}),
    ],
    ids=["web", "engine", "supervisor"],
)
def test_a_process_does_not_even_load_what_it_must_not_know(start, forbidden):
    result = run("-c", f"{start}\nimport sys\nprint(*sys.modules, sep='\\n')")
    assert result.returncode == 0, result.stderr
    assert not forbidden & set(result.stdout.split())


def product_files() -> list[Path]:
    packages = ["orchestrator", "tasks_app", "workers_app", "tenants_app", "gpu_worker"]
    return [path for name in packages for path in (ROOT / name).rglob("*.py") if "migrations" not in path.parts]


def test_only_the_transitions_write_a_status():
    writers = set()
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text())):
            update = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update"
            if update and any(keyword.arg == "status" for keyword in node.keywords):
                writers.add(path)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "SET status" in node.value:
                writers.add(path)
    assert {path.parent.relative_to(ROOT).as_posix() for path in writers} == {"tasks_app/transitions"}


def test_nothing_trusts_remote_code_or_unpickles_weights():
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert ast.unparse(node.value) == "False", path
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "pickle.load", "pickle.loads"):
                raise AssertionError(f"{path}:{node.lineno} unpickles")
