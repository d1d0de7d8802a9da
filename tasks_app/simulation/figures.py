"""What a run says in numbers: waits, swaps, utilization, fairness. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks_app.simulation.run import Record, Scenario


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds until inference began. Who had not started at the end counts with the time until then."""

    count: int
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Figures:
    ended: int
    overall: Waits
    by_tenant: dict[str, Waits]
    by_priority: dict[int, Waits]
    loads: int  # of models
    swaps: int  # loads that another model had to go for
    utilization: float  # share of the slots' time in inference
    loading: float  # share of the slots' time spent waiting for a model
    jain: float | None  # of slot-seconds per weight while all tenants had work waiting; None if that was never so
    all_busy_seconds: float


def of(scenario: Scenario, record: Record) -> Figures:
    tenants: dict[str, list[float]] = defaultdict(list)
    priorities: dict[int, list[float]] = defaultdict(list)
    for job in record.jobs:
        waited = scenario.seconds - job.arrival.at if job.waited is None else job.waited
        tenants[job.arrival.tenant].append(waited)
        priorities[job.arrival.priority].append(waited)
    available = scenario.slots * scenario.seconds
    shares = [used / scenario.weights.get(tenant, 1.0) for tenant, used in record.used.items()]
    return Figures(
        ended=record.ended,
        overall=waits(wait for each in tenants.values() for wait in each),
        by_tenant={name: waits(each) for name, each in sorted(tenants.items())},
        by_priority={priority: waits(each) for priority, each in sorted(priorities.items(), reverse=True)},
        loads=record.loads,
        swaps=record.evictions,
        utilization=record.inference_seconds / available,
        loading=record.loading_seconds / available,
        jain=jain(shares) if record.all_busy_seconds else None,
        all_busy_seconds=record.all_busy_seconds,
    )


def waits(seconds: Iterable[float]) -> Waits:
    ordered = sorted(seconds)
    return Waits(len(ordered), percentile(ordered, 50), percentile(ordered, 99))


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest rank: a value that was really seen."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0.0


def jain(shares: Sequence[float]) -> float:
    """1 if all are equal, 1/n if one has everything. Jain, Chiu, Hawe: A Quantitative Measure of Fairness, 1984."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0
