"""The simulated runner: every task type without weights or torch, with settable time, memory and failures.

Part of the product: it shows, tests and loads everything around a model. `simulated_results` makes what it returns.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import Cancelled, Failed, ModelSpec, Submit
from gpu_worker.runners import simulated_results
from gpu_worker.runners.base import Control, Execution, Runner

MAX_REST = 0.5  # seconds; a long step still shows that the lane is alive
FROM_THE_START = {"ignore_cancel"}  # the other failures come half-way
SLEEPER = ["sleep", "86400"]  # what fail=grandchild leaves behind


@dataclass(frozen=True, slots=True)
class Plan:
    """`parameters.simulate`, as the API documents it."""

    seconds: float = 0.05
    steps: int = 10
    load_seconds: float = 0.0
    memory_mib: int = 0
    fail: str | None = None  # error, out_of_memory, die, hang, stuck, ignore_cancel, grandchild, poison
    fail_attempts: int = 1

    @classmethod
    def of(cls, request: Submit) -> Plan:
        given = request.parameters.get("simulate") or {}
        return cls(**{field.name: given[field.name] for field in fields(cls) if field.name in given})


@dataclass(slots=True)
class Run:
    plan: Plan
    fault: str | None
    seed: int
    started_at: float
    steps_done: int = 0
    words_sent: int = 0
    words: tuple[str, ...] = ()

    def steps_due(self, now: float) -> int:
        if now >= self.started_at + self.plan.seconds:
            return self.plan.steps
        return int((now - self.started_at) / self.plan.seconds * self.plan.steps)

    def next_step_at(self) -> float:
        return self.started_at + self.plan.seconds * (self.steps_done + 1) / self.plan.steps


class SimulatedRunner(Runner):
    max_concurrent = 1000  # they only wait

    @staticmethod
    def model_of(request: Submit) -> ModelSpec:
        """Load time and memory belong to the model, so requests that differ in them have different models."""
        plan = Plan.of(request)
        spec = request.model
        options = {**spec.options, "load_seconds": plan.load_seconds}
        return replace(spec, memory_mib=plan.memory_mib or spec.memory_mib, options=options)

    def setup(self, spec: ModelSpec, device: Device) -> int:
        time.sleep(spec.options["load_seconds"])
        return spec.memory_mib

    def begin(self, execution: Execution) -> None:
        request = execution.request
        plan = Plan.of(request)
        failing = plan.fail == "poison" or request.number <= plan.fail_attempts
        seed = request.parameters.get("seed")
        execution.state = Run(
            plan=plan,
            fault=plan.fail if failing else None,
            seed=random.randrange(2**32) if seed is None else seed,
            started_at=time.monotonic(),
            words=simulated_results.words(request),
        )

    def run(self, batch: Sequence[Execution], control: Control) -> None:
        """Advance all that are due, then rest until the next one is; who has ended is not kept waiting by that."""
        for execution in batch:
            self._advance(execution, control)
        if all(execution.outcome is None for execution in batch):
            next_step_at = min(execution.state.next_step_at() for execution in batch)
            control.rest(min(MAX_REST, next_step_at - time.monotonic()))

    def cancelled(self, execution: Execution) -> Cancelled:
        run: Run = execution.state
        return simulated_results.partial(execution.request, run.words[: run.words_sent])

    def _advance(self, execution: Execution, control: Control) -> None:
        run: Run = execution.state
        halfway = run.steps_due(time.monotonic()) * 2 >= run.plan.steps
        if run.fault and (halfway or run.fault in FROM_THE_START):
            self._misbehave(execution, control)
        due = run.steps_due(time.monotonic())
        if due > run.steps_done and execution.outcome is None:
            words_due = len(run.words) * due // run.plan.steps
            control.progress(execution, due, run.plan.steps, "".join(run.words[run.words_sent : words_due]))
            run.steps_done, run.words_sent = due, words_due
        if due == run.plan.steps and execution.outcome is None:
            execution.outcome = simulated_results.complete(execution, run.words, run.seed)

    def _misbehave(self, execution: Execution, control: Control) -> None:
        run: Run = execution.state
        match run.fault:
            case "error":
                execution.outcome = Failed("internal_error", "simulated failure", detail="parameters.simulate.fail")
            case "out_of_memory":
                raise MemoryError("simulated")
            case "die" | "poison":
                os.kill(os.getpid(), signal.SIGKILL)
            case "grandchild":
                subprocess.Popen(SLEEPER, start_new_session=True)  # in a session of its own it is hardest to find
                threading.Event().wait()
            case "hang":
                threading.Event().wait()
            case "stuck":
                ctypes.PyDLL(None).pause()  # C code that keeps the interpreter lock: no other thread runs any more
            case "ignore_cancel":
                self._finish_regardless(run, execution, control)

    def _finish_regardless(self, run: Run, execution: Execution, control: Control) -> None:
        """Keeps the lane's thread to itself, as code without a stopping point does, but shows signs of life."""
        while (left := run.started_at + run.plan.seconds - time.monotonic()) > 0:
            control.progress(execution, run.steps_due(time.monotonic()), run.plan.steps)
            time.sleep(min(0.1, left))
