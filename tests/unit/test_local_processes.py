"""Which processes `make run` starts besides the ordinary ones."""

from __future__ import annotations

from orchestrator.local import processes


def test_an_external_pool_is_started_when_its_broker_is_named():
    [program] = processes.external_pool({"EXTERNAL_BROKER_URL": "redis://theirs/0", "EXTERNAL_SLOTS": "7"})
    assert program.command[1:] == ("manage.py", "run_external_pool", "--slots", "7")


def test_without_their_broker_there_is_no_external_pool():
    assert processes.external_pool({"EXTERNAL_BROKER_URL": ""}) == ()
