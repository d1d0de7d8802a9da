"""Who is let in to the engine while one must be alone there, and what everybody hears when it dies."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_worker.engine.process import EngineGone
from gpu_worker.engine.protocol import Completed, Finished, ModelSpec, Submit
from gpu_worker.engine_keeper import EngineDied, EngineKeeper
from tests.integration.engine.harness import TEXT, wait_until


class Keeper:
    """An engine keeper whose requests are simulated texts named by the test."""

    def __init__(self, directory: Path) -> None:
        self.keeper = EngineKeeper(stall_seconds=60.0, env={"ENGINE_PRELOAD": "0"})
        self._directory = directory
        self._heard: dict[str, queue.SimpleQueue[Any]] = {}
        self.keeper.start()

    def submit(
        self, name: str, *, alone: bool = False, unwanted: threading.Event | None = None, **simulate: Any
    ) -> None:
        unwanted = unwanted or threading.Event()
        self._heard[name] = queue.SimpleQueue()
        request = Submit(name, TEXT, {"prompt": "hi"}, {"simulate": simulate}, str(self._directory / name), 1)
        self.keeper.submit(request, self._heard[name].put, 30.0, lambda: not unwanted.is_set(), alone)

    def submit_later(self, name: str, **values: Any) -> threading.Thread:
        """It has to wait for the others first."""
        thread = threading.Thread(target=self.submit, args=(name,), kwargs=values)
        thread.start()
        return thread

    def end(self, name: str) -> Any:
        """The outcome, or the news of the engine's death; whoever hears it leaves."""
        while True:
            message = self._heard[name].get(timeout=30)
            if isinstance(message, Finished | EngineDied):
                self.keeper.forget(name)
                return message.outcome if isinstance(message, Finished) else message

    def engine_pid(self) -> int:
        wait_until(lambda: self.keeper.state() == "ready")
        life = self.keeper._life
        assert life is not None
        assert life.ready is not None
        return life.ready.pid

    def running(self) -> set[str]:
        life = self.keeper._life
        return set(life.listeners) if life else set()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.keeper.stop()


def test_one_that_must_be_alone_waits_for_the_others_and_nobody_overtakes_it(keeper: Keeper) -> None:
    keeper.submit("first", seconds=0.8)
    loner = keeper.submit_later("loner", alone=True, seconds=0.3)
    wait_until(lambda: keeper.keeper._loners_wait == 1)
    later = keeper.submit_later("later", seconds=0)
    assert keeper.running() == {"first"}
    assert isinstance(keeper.end("first"), Completed)
    loner.join(30)
    assert keeper.running() == {"loner"}
    assert isinstance(keeper.end("loner"), Completed)
    later.join(30)
    assert isinstance(keeper.end("later"), Completed)


def test_a_loner_that_is_no_longer_wanted_lets_the_others_in(keeper: Keeper) -> None:
    keeper.submit("first", seconds=1.0)
    unwanted = threading.Event()
    errors: list[BaseException] = []

    def try_alone() -> None:
        try:
            keeper.submit("loner", alone=True, unwanted=unwanted)
        except EngineGone as error:
            errors.append(error)

    loner = threading.Thread(target=try_alone)
    loner.start()
    wait_until(lambda: keeper.keeper._loners_wait == 1)
    unwanted.set()
    loner.join(30)
    assert errors
    keeper.submit("later", seconds=0)
    assert isinstance(keeper.end("later"), Completed)


def test_who_was_alone_when_the_engine_died_hears_so(keeper: Keeper) -> None:
    keeper.submit("only", seconds=30)
    os.kill(keeper.engine_pid(), signal.SIGKILL)
    assert keeper.end("only").alone


def test_who_was_not_alone_hears_that_too_and_so_do_those_blamed_together(keeper: Keeper) -> None:
    keeper.submit("one", seconds=30)
    keeper.submit("two", seconds=30)
    os.kill(keeper.engine_pid(), signal.SIGKILL)
    assert [keeper.end(name).alone for name in ("one", "two")] == [False, False]


def test_one_that_was_killed_for_its_own_sake_is_alone_to_blame(keeper: Keeper) -> None:
    keeper.submit("guilty", seconds=30)
    keeper.submit("neighbour", seconds=30)
    keeper.keeper.kill("it did not stop", frozenset({"guilty"}))
    death = keeper.end("neighbour")
    assert (death.blamed, death.alone) == (frozenset({"guilty"}), True)


def test_each_new_engine_loads_what_it_is_told_to(tmp_path: Path) -> None:
    spec = ModelSpec("wanted", "llm", "simulated", memory_mib=7, options={"load_seconds": 0.0})
    keeper = EngineKeeper(60.0, {"ENGINE_PRELOAD": "0"}, to_load=lambda: [spec])
    keeper.start()
    try:
        wanted = [{"name": "wanted", "memory_mib": 7, "task_type": "llm"}]
        wait_until(lambda: keeper.facts().warm_models == wanted, 60)
        assert keeper._life is not None
        keeper._life.process.kill()
        wait_until(lambda: keeper.restarts == 1)
        wait_until(lambda: keeper.state() == "ready" and keeper.facts().warm_models == wanted, 60)
    finally:
        keeper.stop()
