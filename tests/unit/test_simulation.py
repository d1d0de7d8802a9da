"""The policy in virtual time: what it is for, measured beside plain policies on the same work."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from tasks_app.scheduling.policy import plan
from tasks_app.simulation import figures, trace
from tasks_app.simulation.baselines import Policy, RoundRobin, first_in_first_out, least_loaded, policies
from tasks_app.simulation.figures import Figures
from tasks_app.simulation.machines import MachineKind, ModelFacts, SimulatedWorker
from tasks_app.simulation.run import Scenario, run
from tasks_app.simulation.scenarios import SCENARIOS, heavy_tenant, swaps
from tasks_app.simulation.trace import Arrival, Tenant, generate


def of(scenario: Scenario, policy: Policy) -> Figures:
    return figures.of(scenario, run(scenario, policy))


def small(*arrivals: Arrival, workers: int = 1, slots: int = 1, holds: int = 1) -> Scenario:
    models = {arrival.model: ModelFacts(load_seconds=10.0) for arrival in arrivals}
    return Scenario(arrivals, [MachineKind(slots, holds)] * workers, models, 1000.0)


def task(at: float, model: str = "x", tenant: str = "a", seconds: float = 2.0) -> Arrival:
    return Arrival(at, tenant, 1, model, 5, seconds)


# ---------------------------------------------------------------- what it is for


@pytest.mark.parametrize("seed", [1, 2])
def test_one_heavy_tenant_among_nine_light_ones_gets_its_share_and_they_hardly_wait(seed):
    """Twelve minutes; the hour is `manage.py simulate --scenario heavy-tenant`."""
    scenario = heavy_tenant(workers=4, seconds=720.0, seed=seed)
    ours, plain = of(scenario, plan), of(scenario, first_in_first_out)
    assert ours.all_busy_seconds > 30
    assert ours.jain is not None
    assert ours.jain > 0.95
    assert plain.jain is not None
    assert plain.jain < 0.2
    for name in (f"light-{number}" for number in range(1, 10)):
        assert ours.by_tenant[name].p99 < plain.by_tenant[name].p99 / 5  # its backlog still grows: a tenth in an hour
    assert ours.utilization > plain.utilization - 0.01


@pytest.mark.slow
def test_in_an_hour_the_light_tenants_wait_less_than_a_tenth_of_first_in_first_out():
    scenario = heavy_tenant(workers=4, seconds=3600.0, seed=1)
    ours, plain = of(scenario, plan), of(scenario, first_in_first_out)
    assert ours.jain is not None
    assert ours.jain > 0.95
    for name in (f"light-{number}" for number in range(1, 10)):
        assert ours.by_tenant[name].p99 < plain.by_tenant[name].p99 / 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_six_models_on_four_workers_that_hold_two_swap_less_than_a_third_and_wait_no_longer(seed):
    scenario = swaps(workers=4, seconds=900.0, seed=seed)
    assert (len(scenario.models), scenario.machines[0].memory_mib) == (6, 2)
    ours, plain = of(scenario, plan), of(scenario, least_loaded)
    assert ours.swaps < plain.swaps / 3
    assert ours.loads < plain.loads / 3
    assert ours.overall.p99 <= plain.overall.p99


def test_a_hundred_workers_that_hold_few_models_stay_busy():
    models = {f"model-{number}": ModelFacts(10.0) for number in range(30)}
    tenants = [Tenant("a", 100 * 2 * 15.0, models=dict.fromkeys(models, 1.0))]  # as much as they can do
    scenario = Scenario(generate(tenants, 120.0, 1), [MachineKind(2, 2)] * 100, models, 120.0, tick=0.25)
    assert of(scenario, plan).utilization > 0.75


# ---------------------------------------------------------------- the simulator itself


def test_a_task_waits_for_its_model_and_the_next_finds_it_loaded():
    record = run(small(task(0.0), task(20.0)), plan)
    assert [job.waited for job in record.jobs] == pytest.approx([10.05, 0.05])
    assert (record.loads, record.evictions, record.ended) == (1, 0, 2)
    assert record.inference_seconds == 4.0
    assert record.loading_seconds == pytest.approx(10.0)


@pytest.mark.parametrize("policy", [plan, first_in_first_out, least_loaded, RoundRobin()])
def test_a_worker_runs_no_more_at_once_than_it_has_slots(policy):
    record = run(small(*[task(0.0) for _ in range(5)], slots=2), policy)
    begins = sorted(job.waited or 0.0 for job in record.jobs)
    assert begins == pytest.approx([10.05, 10.05, 12.1, 12.1, 14.15], abs=0.1)


def test_what_never_started_counts_with_the_time_it_waited():
    scenario = Scenario([task(0.0, seconds=500.0), task(10.0)], [MachineKind(1, 1)], {"x": ModelFacts(10.0)}, 100.0)
    assert of(scenario, plan).overall == figures.Waits(2, pytest.approx(10.05), 90.0)


def test_a_worker_evicts_the_least_recently_used_model_and_never_one_at_work():
    worker, facts = SimulatedWorker("w", MachineKind(4, 2)), {name: ModelFacts(10.0) for name in "xyz"}
    assert [worker.start("x", 0.0, facts), worker.start("y", 0.0, facts)] == [10.0, 10.0]
    assert worker.start("z", 20.0, facts) is None
    worker.end("y")
    worker.end("x")
    assert worker.start("z", 20.0, facts) == 10.0
    assert set(worker.ready_at) == {"x", "z"}
    assert (worker.loads, worker.evictions) == (3, 1)


def test_the_plain_policies_place_as_their_names_say():
    arrivals = [task(number / 100, tenant=str(number % 2)) for number in range(4)]
    scenario = small(*arrivals, workers=2, slots=2)
    placed = {}
    for name, policy in policies().items():
        choices: list[str] = []

        def recorded(snapshot, policy=policy, choices=choices):
            made = policy(snapshot)
            choices += [choice.worker[-1] for choice in made.choices]
            return made

        run(scenario, recorded)
        placed[name] = "".join(choices)
    assert placed["fifo"] == "1122"
    assert placed["least-loaded"] == placed["round-robin"] == "1212"


def test_the_same_seed_gives_the_same_run_and_another_one_another():
    for make in SCENARIOS.values():
        first, again, other = (make(2, 60.0, seed) for seed in (1, 1, 2))
        assert first == again
        assert first.arrivals != other.arrivals
    assert of(first, plan) == of(again, plan)


def test_jains_index_is_one_for_equals_and_one_nth_for_a_single_owner():
    assert figures.jain([3.0, 3.0, 3.0]) == 1.0
    assert figures.jain([9.0, 0.0, 0.0]) == pytest.approx(1 / 3)


# ---------------------------------------------------------------- the command


def test_the_command_prints_a_table_draws_a_picture_and_keeps_the_trace(tmp_path: Path):
    out, picture, kept = StringIO(), tmp_path / "p.png", tmp_path / "t.csv"
    options = {"scenario": "mixed", "workers": 2, "minutes": 0.5, "plot": picture, "save_trace": kept}
    call_command("simulate", stdout=out, **options)
    text = out.getvalue()
    assert all(name in text for name in [*policies(), "wait p50 / p99 s", "voice", "model swaps"])
    with Image.open(picture) as image:
        assert len(image.getcolors(100_000) or []) > 4
    again = StringIO()
    call_command("simulate", stdout=again, trace=kept, workers=2, minutes=0.5, policy=["baton"])
    assert f"{len(trace.read(kept)):,} tasks" in again.getvalue()


def test_a_trace_that_cannot_be_read_is_told_with_its_line(tmp_path: Path):
    path = tmp_path / "bad.csv"
    path.write_text("at,tenant,user,model,priority,run_seconds\n1,a,1,x,5,2\nsoon,a,1,x,5,2\n")
    with pytest.raises(CommandError, match=r"bad\.csv, line 3.*run_seconds"):
        call_command("simulate", trace=path)
