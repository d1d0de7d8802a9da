"""What the device tells of itself, and how its errors are read."""

from __future__ import annotations

import pytest

from gpu_worker.engine import device


def test_a_host_without_a_gpu_is_a_cpu_with_memory_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("ENGINE_THREADS", raising=False)
    monkeypatch.delenv("ENGINE_MEMORY_MIB", raising=False)
    found = device.detect()
    assert found.type == "cpu"
    assert found.threads >= 1
    assert found.info.memory_total_mib * 0.8 < found.budget_mib < found.info.memory_total_mib
    assert 0 < device.memory_used_mib(found) < found.info.memory_total_mib


def test_threads_and_memory_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_THREADS", "3")
    monkeypatch.setenv("ENGINE_MEMORY_MIB", "123")
    found = device.detect()
    assert (found.threads, found.budget_mib) == (3, 123)


def test_a_container_has_the_memory_of_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    class Limit:
        @staticmethod
        def read_text() -> str:
            return f"{64 * 1024 * 1024}\n"

    monkeypatch.setattr(device, "CGROUP_LIMIT", Limit)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device.detect().info.memory_total_mib == 64


@pytest.mark.parametrize(
    ("error", "out_of_memory", "fatal"),
    [
        (MemoryError(), True, False),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True, False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (ValueError("CUDA error: said by somebody else"), False, False),
    ],
)
def test_errors_are_told_apart(error: Exception, out_of_memory: bool, fatal: bool) -> None:
    assert device.is_out_of_memory(error) is out_of_memory
    assert device.is_fatal(error) is fatal
