"""The order of the checks, and which of them make no sense any more when an earlier one failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator.check import server_checks, task_checks
from orchestrator.check.api import Api
from orchestrator.check.load import load
from orchestrator.check.report import Outcome, Result, failed, passed, skipped
from orchestrator.check.samples import SAMPLES, SIMULATED, Sample
from orchestrator.check.tasks import Tasks
from orchestrator.check.trouble import Trouble

Json = dict[str, Any]
TASK_CHECKS = (*(sample.task_type for sample in SAMPLES), "same seed", "live", "cancel", "load", "statistics")
NO_SIMULATION = "the simulated model of type llm is off (SIMULATED_MODELS=false)"


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout`: seconds that one task may take. `load`: so many tasks, 0 for none. `keep`: delete none afterwards."""

    timeout: float = 120.0
    load: int = 50
    simulated: bool = False
    keep: bool = False


def examine(api: Api, options: Options) -> Iterator[Result]:
    """Each result as soon as it is known. Raises Unreachable if there is no Baton to examine."""
    yield server_checks.web(api)
    needs = []
    for result in _needs(api):
        needs.append(result)
        yield result
    missing = [result.name for result in needs if result.outcome is Outcome.FAILED]
    if missing:
        yield from (skipped(name, f"needs what failed above ({missing[0]})") for name in TASK_CHECKS)
    else:
        yield from Examination(api, options).run()


def guarded(name: str, check: Callable[[], Result]) -> Result:
    try:
        return check()
    except Trouble as trouble:
        return failed(name, str(trouble), trouble.advice)


def _needs(api: Api) -> Iterator[Result]:
    yield from server_checks.readiness(api)
    yield guarded("key", partial(server_checks.key, api))
    yield guarded("workers", partial(server_checks.workers, api))


class Examination:
    """The checks that run tasks."""

    def __init__(self, api: Api, options: Options) -> None:
        self._api, self._options = api, options
        self._tasks = Tasks(api, options.timeout)
        models: list[Json] = api.get("/models/")["results"]
        self._types = {model["task_type"] for model in models}
        self._simulated = {model["task_type"] for model in models if model["name"] == SIMULATED}
        self._model = SIMULATED if options.simulated else None  # None: the default of the type

    def run(self) -> Iterator[Result]:
        try:
            yield from self._run()
        finally:
            tidied = guarded("tidy", self._tidy)  # an interrupted check leaves nothing running either
        yield tidied

    def _run(self) -> Iterator[Result]:
        fingerprints: dict[str, str] = {}
        for sample in SAMPLES:
            result = self._one_type(sample)
            yield result
            if result.outcome is Outcome.PASSED:
                fingerprints[sample.task_type] = result.facts["fingerprint"]
        yield guarded("same seed", lambda: self._same_seed(fingerprints))
        yield self._simulating("live", lambda: task_checks.live(self._api, self._tasks))
        yield self._simulating("cancel", lambda: task_checks.cancel(self._tasks))
        yield self._simulating("load", self._load)
        yield guarded("statistics", lambda: task_checks.statistics(self._api, self._tasks))

    def _one_type(self, sample: Sample) -> Result:
        offered = self._simulated if self._options.simulated else self._types
        if sample.task_type not in offered:
            which = "simulated model" if self._options.simulated else "model"
            return skipped(sample.task_type, f"no {which} of this type is enabled", "MODELS_FILE names the models.")
        return guarded(sample.task_type, lambda: task_checks.one_type(self._api, self._tasks, sample, self._model))

    def _same_seed(self, fingerprints: dict[str, str]) -> Result:
        if not fingerprints:
            return skipped("same seed", "no task completed")
        again = [sample for sample in SAMPLES if sample.task_type in fingerprints]
        return task_checks.same_seed(self._api, self._tasks, again, self._model, fingerprints)

    def _load(self) -> Result:
        return load(self._tasks, self._options.load) if self._options.load else skipped("load", "--load 0")

    def _simulating(self, name: str, check: Callable[[], Result]) -> Result:
        return guarded(name, check) if "llm" in self._simulated else skipped(name, NO_SIMULATION)

    def _tidy(self) -> Result:
        if self._options.keep:
            return skipped("tidy", "--keep")
        return passed("tidy", f"{self._tasks.delete_all()} tasks of this check deleted (--keep keeps them)")
