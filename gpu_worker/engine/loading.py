"""How a model comes onto the device: libraries, files, room, weights, in this order. Called by a lane's thread."""

from __future__ import annotations

from collections.abc import Callable

from gpu_worker.engine import preload
from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners import registry
from gpu_worker.runners.base import Runner


def load(
    spec: ModelSpec, device: Device, make_room: Callable[[int], bool], relieve: Callable[[Exception], bool]
) -> tuple[Runner, int] | None:
    """The runner and the MiB that it takes; None if `make_room(mib)` gave up. Raises whatever the library raises.

    When memory runs out in the middle, `relieve` says so and has made some; then it is tried once more.
    """
    runner = _create(spec)
    if not make_room(runner.memory_mib(spec, device)):
        return None
    try:
        return runner, _set_up(runner, spec, device)
    except Exception as error:
        if not relieve(error):
            raise
    return runner, _set_up(runner, spec, device)


def adapt(
    runner: Runner,
    spec: ModelSpec,
    device: Device,
    make_room: Callable[[int], None],
    relieve: Callable[[Exception], bool],
) -> dict[str, int]:
    """Switch a loaded model to this adapter, or to none: the MiB of all adapters that it bears now, by name.

    Raises whatever the library raises, and nothing has changed then.
    """
    needed = runner.adapter_mib(spec, device)
    if needed:
        make_room(needed)
    try:
        return _adapt(runner, spec, needed)
    except Exception as error:
        if not relieve(error):
            raise
    return _adapt(runner, spec, needed)


def _adapt(runner: Runner, spec: ModelSpec, memory_mib: int) -> dict[str, int]:
    if not memory_mib:
        return runner.adapt(spec, 0)  # a switch loads nothing and waits for nobody
    with preload.LOADING:
        return runner.adapt(spec, memory_mib)


def _create(spec: ModelSpec) -> Runner:
    if not registry.needs_libraries(spec):
        return registry.create(spec)
    preload.wait_until_imported(spec.task_type)
    with preload.LOADING:  # the runner's module asks for more of the libraries, which import it only then
        return registry.create(spec)


def _set_up(runner: Runner, spec: ModelSpec, device: Device) -> int:
    if not registry.needs_libraries(spec):
        return runner.setup(spec, device)
    with preload.LOADING:
        return runner.setup(spec, device)
