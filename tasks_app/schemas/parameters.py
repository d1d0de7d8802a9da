"""What the parameters of every kind have: a seed and, for models of the simulated runner only, what to simulate."""

from __future__ import annotations

from tasks_app.schemas.strict import Choice, Integer, Number, Strict

FAULTS = ("error", "out_of_memory", "die", "hang", "stuck", "ignore_cancel", "grandchild", "poison")
SEED_MAX = 2**63 - 1  # what a JSON reader with signed 64-bit integers can hold; torch takes more


class Simulate(Strict):
    """How long it runs and in how many steps, what its model costs, what goes wrong on its first attempts."""

    seconds = Number(0, 3600, default=0.05, help_text="How long it runs.")
    steps = Integer(1, 10_000, default=10, help_text="In how many steps.")
    load_seconds = Number(0, 600, default=0.0, help_text="How long its model takes to load.")
    memory_mib = Integer(0, 1_000_000, default=0, help_text="What its model takes, in MiB.")
    fail = Choice(FAULTS, default=None, allow_null=True, help_text="What goes wrong.")  # type: ignore[assignment]
    fail_attempts = Integer(0, 100, default=1, help_text="On how many first attempts.")


class Parameters(Strict):
    """The base of every kind's parameters."""

    seed = Integer(
        0, SEED_MAX, default=None, allow_null=True, help_text="Same seed, same output; left out: a random one."
    )
    simulate = Simulate(required=False, allow_null=True, help_text="Only for models of the simulated runner.")
