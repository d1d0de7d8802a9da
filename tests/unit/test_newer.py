"""What a worker says about a task of a version that it does not know."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from gpu_worker import newer
from tasks_app.transitions import Claimed
from workers_app.models import Model


def claimed(task_type: str = "llm", **values: Any) -> Claimed:
    asked = {"input": {"prompt": "Hello"}, "parameters": {"seed": None, "simulate": {"seconds": 0}}} | values
    counts = {"number": 1, "free_attempts": 0, "max_attempts": 3, "engine_deaths": 0, "execution_timeout": 600.0}
    return Claimed(uuid4(), uuid4(), uuid4(), uuid4(), task_type, "simulated", **asked, **counts)


def model(task_type: str = "llm", runner: str = "simulated") -> Model:
    return Model(task_type=task_type, name="simulated", runner=runner)


def test_a_task_of_this_version_has_nothing_unknown():
    assert newer.unknown_in(claimed(), model()) is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"input": {"prompt": "Hello", "audio": "x"}}, "the field input.audio"),
        ({"parameters": {"seed": 1, "beams": 4}}, "the field parameters.beams"),
        ({"parameters": {"simulate": {"seconds": 0, "noise": 1}}}, "the field parameters.simulate.noise"),
    ],
)
def test_a_field_that_a_newer_version_added_is_named(given, named):
    assert newer.unknown_in(claimed(**given), model()) == named


def test_a_runner_or_a_kind_that_a_newer_version_added_is_named():
    assert newer.unknown_in(claimed(), model(runner="vllm")) == "the runner vllm for llm"
    assert newer.unknown_in(claimed("video"), model("video")) == "the runner simulated for video"


def test_a_worker_offers_no_kind_that_it_does_not_know():
    assert newer.known(["llm", "video", "tts"]) == ["llm", "tts"]
