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
        "print(failures.wants_memory(RuntimeError('CUDA error: an illegal memory access was encountered')))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == failures.POISONED_EXIT
    assert ended.stdout == ""


@pytest.mark.parametrize(("error", "wants"), [(MemoryError(), True), (ValueError("odd"), False)])
def test_want_of_memory_is_told_from_other_errors(error: Exception, wants: bool) -> None:
    assert failures.wants_memory(error) is wants


def test_a_long_reason_is_cut_and_the_traceback_is_kept_apart() -> None:
    failed = failures.of_request(RuntimeError("x" * 5000))
    assert len(failed.message) == failures.REASON_LIMIT
    assert "x" * 5000 in failed.detail


def test_bad_input_needs_no_traceback() -> None:
    assert failures.of_request(InvalidInput("too long", "input.prompt")).detail == ""
