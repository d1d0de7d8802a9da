"""Gives one call of a model its own stream of random numbers, where the library offers no generator to pass.

Thread-local, so lanes that draw at the same time do not touch each other's, nor torch's global state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DRAWING: frozenset[Callable[..., Any]] = frozenset(
    {
        torch.rand,
        torch.rand_like,
        torch.randn,
        torch.randn_like,
        torch.randint,
        torch.randperm,
        torch.normal,
        torch.bernoulli,
        torch.multinomial,
        torch.Tensor.multinomial,
        torch.Tensor.normal_,
        torch.Tensor.uniform_,
        torch.Tensor.exponential_,
        torch.Tensor.bernoulli_,
    }
)


SAMPLING = frozenset({torch.multinomial, torch.Tensor.multinomial})


class SeededNoise(TorchFunctionMode):
    """`with SeededNoise(seed): model(...)` draws the same numbers whenever it runs, whatever runs beside it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in DRAWING and kwargs.get("generator") is None:
            kwargs = {**kwargs, "generator": self._generator(_device(args, kwargs))}
        return func(*args, **kwargs)

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]


class SeededRows(SeededNoise):
    """The same for a batch: what is sampled for a row comes from that row's own numbers, whoever its neighbours are."""

    def __init__(self, seeds: Sequence[int]) -> None:
        super().__init__(seeds[0])
        self._rows = [SeededNoise(seed) for seed in seeds]

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func not in SAMPLING or (kwargs or {}).get("generator") is not None:
            return super().__torch_function__(func, types, args, kwargs)
        weights, rest = args[0], args[1:]
        drawn = [
            func(weights[number : number + 1], *rest, **(kwargs or {}), generator=row._generator(weights.device))
            for number, row in enumerate(self._rows)
        ]
        return torch.cat(drawn)


def _device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device:
    """Where the numbers will lie: a generator must be of the same device."""
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"])
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
    return tensors[0].device if tensors else torch.get_default_device()
