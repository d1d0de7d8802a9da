"""Switching an external pool on, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

ROOT = Path(__file__).resolve().parents[2]


def test_a_pool_without_an_address_is_refused_at_the_start():
    env = os.environ | {"WORKER_EXTERNAL": "true", "EXTERNAL_BROKER_URL": ""}
    command = [sys.executable, "-c", "import orchestrator.settings"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30)
    assert ended.returncode != 0
    assert "WORKER_EXTERNAL needs EXTERNAL_BROKER_URL" in ended.stderr


def test_the_command_names_what_is_missing(settings):
    settings.EXTERNAL_BROKER_URL = ""
    with pytest.raises(CommandError, match="EXTERNAL_BROKER_URL is empty"):
        call_command("run_external_pool")


@pytest.mark.parametrize("slots", [0, 1001])
def test_the_command_bounds_its_slots(settings, slots):
    settings.EXTERNAL_BROKER_URL = "redis://theirs/0"
    with pytest.raises(CommandError, match="1 to 1000"):
        call_command("run_external_pool", slots=slots)
