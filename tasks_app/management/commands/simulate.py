"""`manage.py simulate`: what the scheduler would do, in virtual time, beside plainer policies. Needs no database."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tasks_app.simulation import baselines, figures, plot, run, table, trace
from tasks_app.simulation.machines import MachineKind, ModelFacts
from tasks_app.simulation.run import Scenario
from tasks_app.simulation.scenarios import SCENARIOS


class Command(BaseCommand):
    help = "Run the scheduler's policy in virtual time and compare it with plainer ones."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="mixed")
        parser.add_argument("--trace", type=Path, help="a CSV file of tasks instead of a scenario")
        parser.add_argument("--workers", type=int, default=4, help="1 to 10,000")
        parser.add_argument("--minutes", type=float, default=60.0, help="of virtual time")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--policy", action="append", choices=list(baselines.policies()), help="repeatable")
        parser.add_argument("--tick", type=float, default=run.TICK, help="seconds between rounds; more is faster")
        parser.add_argument("--plot", type=Path, metavar="PNG")
        parser.add_argument("--save-trace", type=Path, metavar="CSV", help="write down what was asked for")
        machine = parser.add_argument_group("machines and models of a trace")
        machine.add_argument("--slots", type=int, default=4, help="of a worker")
        machine.add_argument("--holds", type=int, default=2, help="models that fit on a worker")
        machine.add_argument("--load-seconds", type=float, default=10.0, help="of a model")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["workers"] <= 10_000:
            raise CommandError("--workers must be 1 to 10,000")
        try:
            self._simulate(options)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from None

    def _simulate(self, options: dict[str, Any]) -> None:
        scenario = _scenario(options)
        if options["save_trace"]:
            trace.write(options["save_trace"], scenario.arrivals)
        title = f"{options['trace'] or options['scenario']}: {len(scenario.arrivals):,} tasks, "
        title += f"{options['workers']:,} workers, {scenario.slots:,} slots, {options['minutes']:g} min"
        self.stdout.write(title + "\n\n")
        policies = {n: p for n, p in baselines.policies().items() if n in (options["policy"] or baselines.policies())}
        results = {name: figures.of(scenario, run.run(scenario, policy)) for name, policy in policies.items()}
        self.stdout.write(table.render(results))
        if options["plot"]:
            plot.draw(options["plot"], title, results)


def _scenario(options: dict[str, Any]) -> Scenario:
    workers, seconds, tick = options["workers"], 60 * options["minutes"], options["tick"]
    if options["trace"] is None:
        made = SCENARIOS[options["scenario"]](workers, seconds, options["seed"])
        return replace(made, tick=tick)
    arrivals = [arrival for arrival in trace.read(options["trace"]) if arrival.at < seconds]
    models = {arrival.model: ModelFacts(options["load_seconds"]) for arrival in arrivals}
    machine = MachineKind(options["slots"], options["holds"])
    return Scenario(arrivals, [machine] * workers, models, seconds, tick=tick)
