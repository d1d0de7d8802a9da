"""How long models take to load and to run, learnt from what ended, for each model and for it on each worker. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

Key = tuple[str, str, str]  # (task type, model, worker); an empty worker means: on any

RUN_UNKNOWN = 10.0  # seconds that a model is taken to run before the first end taught better
LOAD_UNKNOWN = 15.0  # seconds; a few GB from a local disk
SMOOTHING = 0.1  # the weight of the newest value, once there are 1 / SMOOTHING of them; before, a plain mean
SPREAD = 2.0  # mean absolute deviations that a range spans to each side: nine of ten where times are normal


@dataclass(frozen=True, slots=True)
class Learnt:
    """Exponentially weighted means, in seconds. `deviation` is the mean absolute one of the runs."""

    runs: int = 0
    run: float = RUN_UNKNOWN
    deviation: float = RUN_UNKNOWN / 2
    loads: int = 0
    load: float = LOAD_UNKNOWN

    def with_run(self, seconds: float) -> Learnt:
        if not self.runs:
            return replace(self, runs=1, run=seconds, deviation=seconds / 2)  # one value tells nothing of its spread
        weight = _weight(self.runs)
        mean = self.run + weight * (seconds - self.run)
        deviation = self.deviation + weight * (abs(seconds - mean) - self.deviation)
        return replace(self, runs=self.runs + 1, run=mean, deviation=deviation)

    def with_load(self, seconds: float) -> Learnt:
        return replace(self, loads=self.loads + 1, load=self.load + _weight(self.loads) * (seconds - self.load))


UNKNOWN = Learnt()


@dataclass(frozen=True, slots=True)
class Observation:
    """What one attempt that ended has taught. `load` is None or 0 if the model was warm, `run` None if it never ran."""

    task_type: str
    model: str
    worker: str
    load: float | None
    run: float | None


class Times:
    """Asked for a worker it knows nothing of, it answers with what holds for the model on any."""

    def __init__(self, learnt: Iterable[tuple[Key, Learnt]] = ()) -> None:
        self._learnt = dict(learnt)

    def run(self, task_type: str, model: str, worker: str = "") -> float:
        """Expected seconds of inference."""
        here = self._learnt.get((task_type, model, worker))
        return here.run if here and here.runs else self.anywhere(task_type, model).run

    def load(self, task_type: str, model: str, worker: str = "") -> float:
        """Expected seconds until a cold model is warm."""
        here = self._learnt.get((task_type, model, worker))
        return here.load if here and here.loads else self.anywhere(task_type, model).load

    def anywhere(self, task_type: str, model: str) -> Learnt:
        return self._learnt.get((task_type, model, ""), UNKNOWN)

    def run_range(self, task_type: str, model: str) -> tuple[float, float]:
        learnt = self.anywhere(task_type, model)
        return max(0.0, learnt.run - SPREAD * learnt.deviation), learnt.run + SPREAD * learnt.deviation

    def learn(self, observations: Iterable[Observation]) -> dict[Key, Learnt]:
        """Take in what ended; the entries that changed, for whoever keeps them."""
        changed: set[Key] = set()
        for seen in observations:
            for worker in ("", seen.worker):
                key = (seen.task_type, seen.model, worker)
                self._learnt[key] = _taught(self._learnt.get(key, UNKNOWN), seen)
                changed.add(key)
        return {key: self._learnt[key] for key in changed}


def _taught(learnt: Learnt, seen: Observation) -> Learnt:
    if seen.load:
        learnt = learnt.with_load(seen.load)
    return learnt if seen.run is None else learnt.with_run(seen.run)


def _weight(count: int) -> float:
    return max(1.0 / (count + 1), SMOOTHING)
