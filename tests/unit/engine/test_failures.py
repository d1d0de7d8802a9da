"""What becomes of an engine whose device is lost: it ends, so that the worker starts another."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpu_worker.engine import failures
from gpu_worker.engine.process import ROOT
from gpu_worker.runners.base import InvalidInput


def test_a_lost_cuda_context_ends_the_process() -> None:
    script = (
        "from gpu_worker.engine import failures\n"
        "failures.relieve(RuntimeError('CUDA error: an illegal memory access was encountered'), print)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == failures.POISONED_EXIT
    assert ended.stdout == ""


@pytest.mark.parametrize(("error", "relieved"), [(MemoryError(), True), (ValueError("odd"), False)])
def test_idle_models_go_only_for_want_of_memory(error: Exception, relieved: bool) -> None:
    evicted: list[bool] = []
    assert failures.relieve(error, lambda: evicted.append(True)) is relieved
    assert bool(evicted) is relieved


def test_a_long_reason_is_cut_and_the_traceback_is_kept_apart() -> None:
    failed = failures.of_request(RuntimeError("x" * 5000))
    assert len(failed.message) == failures.REASON_LIMIT
    assert "x" * 5000 in failed.detail


def test_bad_input_needs_no_traceback() -> None:
    assert failures.of_request(InvalidInput("too long", "input.prompt")).detail == ""
