"""The one training loop of the small models: seeded, one thread, a fixed number of steps.

Called by every kind's `build()`. Knows parameters and a loss, never what the model is for.
"""

from collections.abc import Callable, Iterable
from time import monotonic

import torch
from torch import Tensor, nn

STEPS_PER_REPORT = 200
LOSS_SMOOTHING = 0.98  # share of the running mean kept at each step: about fifty steps of memory
SAFETENSORS_ONLY = {"use_safetensors": True, "trust_remote_code": False}  # how the product loads any model


def seed_everything(seed: int) -> None:
    """One thread and one seed: sums are added in the same order, so the same machine gives the same weights."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)


def scaled(count: int, scale: float, at_least: int = 2) -> int:
    """A number of steps or samples for a shorter or longer training; the learning rate schedule needs two steps."""
    return max(at_least, round(count * scale))


def fit(
    name: str,
    parameters: Iterable[nn.Parameter],
    loss_of_next_batch: Callable[[], Tensor],
    *,
    steps: int,
    peak_rate: float,
    clip: float = 1.0,
) -> float:
    """Train with AdamW and a one-cycle learning rate; returns the smoothed loss of the last steps."""
    trained = list(parameters)
    optimizer = torch.optim.AdamW(trained, lr=peak_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=steps, pct_start=0.1)
    started, smoothed = monotonic(), float("nan")
    for step in range(1, steps + 1):
        loss = loss_of_next_batch()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, clip)
        optimizer.step()
        schedule.step()
        smoothed = loss.item() if step == 1 else LOSS_SMOOTHING * smoothed + (1 - LOSS_SMOOTHING) * loss.item()
        if step % STEPS_PER_REPORT == 0 or step == steps:
            print(f"{name}: step {step}/{steps}, loss {smoothed:.4f}, {monotonic() - started:.0f} s", flush=True)
    return smoothed
