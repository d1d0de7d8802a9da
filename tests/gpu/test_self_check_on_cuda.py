"""The self-check on a real CUDA device, also where it computes with fewer bits than it shows."""

from __future__ import annotations

import pytest

from gpu_worker.engine import device, self_check

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_a_sound_gpu_passes_in_every_precision_of_products(precision: str) -> None:
    found = device.detect()
    if found.type != "cuda":
        pytest.skip("no CUDA device")
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        assert self_check.on_device(found, torch) == ""
    finally:
        torch.set_float32_matmul_precision(before)
