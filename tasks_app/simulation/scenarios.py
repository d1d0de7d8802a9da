"""Scenarios with a name, each made to show one thing. All are generated from a seed."""

from __future__ import annotations

from collections.abc import Callable

from tasks_app.simulation.machines import MachineKind, ModelFacts
from tasks_app.simulation.run import Scenario
from tasks_app.simulation.trace import Tenant, generate


def heavy_tenant(workers: int, seconds: float, seed: int) -> Scenario:
    """One tenant asks for twice of what there is, all the time; nine send a burst every five minutes."""
    slots = 4 * workers
    heavy = Tenant("heavy", per_minute=2 * slots * 60 / 4.0, users=3)
    light = [Tenant(f"light-{n}", slots / 5.0, burst=slots, regular=True) for n in range(1, 10)]
    arrivals = generate([heavy, *light], seconds, seed)
    return Scenario(arrivals, [MachineKind()] * workers, {"model-1": ModelFacts()}, seconds)


def swaps(workers: int, seconds: float, seed: int) -> Scenario:
    """Half as many models again as there are workers; each worker holds two; most of the work is for two models."""
    count = max(3, workers * 3 // 2)
    models = {f"model-{n}": ModelFacts(load_seconds=10.0) for n in range(1, count + 1)}
    shares = {name: 1.0 / rank for rank, name in enumerate(models, start=1)}
    per_minute = 0.6 * 2 * workers * 60 / 4.0
    tenants = [Tenant(f"tenant-{n}", per_minute / 3, models=shares) for n in range(1, 4)]
    return Scenario(generate(tenants, seconds, seed), [MachineKind(slots=2)] * workers, models, seconds)


def priorities(workers: int, seconds: float, seed: int) -> Scenario:
    """One tenant, three levels of urgency, a little more work than there is room for."""
    per_minute = 1.05 * 4 * workers * 60 / 4.0
    levels = {9: 0.1, 5: 0.6, 1: 0.3}
    tenants = [Tenant("acme", per_minute, priorities=levels)]
    arrivals = generate(tenants, seconds, seed)
    return Scenario(arrivals, [MachineKind()] * workers, {"model-1": ModelFacts()}, seconds)


def mixed(workers: int, seconds: float, seed: int) -> Scenario:
    """Tenants of different weights and habits, models of different sizes, machines of two speeds."""
    models = {
        "chat": ModelFacts(8.0, 2),
        "large": ModelFacts(25.0, 4),
        "image": ModelFacts(12.0, 2),
        "speech": ModelFacts(3.0, 1),
        "caption": ModelFacts(5.0, 1),
    }
    rate = 4 * workers * 60 / 4.0  # tasks a minute that all slots together can do
    levels = {8: 0.1, 5: 0.8, 2: 0.1}
    everything = {"chat": 5.0, "large": 1.0, "image": 2.0, "speech": 1.0, "caption": 1.0}
    tenants = [
        Tenant("app", 0.35 * rate, users=5, weight=3.0, models=everything, priorities=levels),
        Tenant("studio", 0.2 * rate, burst=20, models={"image": 3.0, "caption": 1.0}, run_seconds=6.0),
        Tenant("voice", 0.2 * rate, models={"speech": 1.0}, run_seconds=2.0),
        Tenant("batch", 0.3 * rate, burst=100, models={"chat": 1.0, "large": 1.0}, priorities={1: 1.0}),
    ]
    machines = [MachineKind(4, 6, 1.0 if number % 3 else 2.0) for number in range(workers)]
    weights = {tenant.name: tenant.weight for tenant in tenants}
    return Scenario(generate(tenants, seconds, seed), machines, models, seconds, weights)


SCENARIOS: dict[str, Callable[[int, float, int], Scenario]] = {
    "heavy-tenant": heavy_tenant,
    "swaps": swaps,
    "priorities": priorities,
    "mixed": mixed,
}
