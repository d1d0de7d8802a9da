"""Every bound of every field, with its message and the path that names it. No database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

from tasks_app.schemas import SCHEMAS
from tasks_app.schemas.problems import first_problem
from tasks_app.schemas.request import TASK_REQUEST
from workers_app.models import TaskType

LLM, SD, TTS, I2T = (SCHEMAS[kind] for kind in ("llm", "stable_diffusion", "tts", "image_to_text"))
ENVELOPE = {"task_type": "llm", "input": {"prompt": "x"}}


def problem(schema: Any, data: Any) -> str:
    """Path and message of what is refused; empty if nothing is."""
    try:
        schema.run_validation(data)
    except ValidationError as error:
        path, message = first_problem(error.detail)
        return f"{path} {message}".strip()
    return ""


INTEGERS = [
    (LLM.parameters, "max_new_tokens", 1, 32_768, ""),
    (LLM.parameters, "top_k", 0, 1000, ""),
    (LLM.parameters, "seed", 0, 2**63 - 1, ""),
    (SD.parameters, "width", 64, 2048, " and a multiple of 8"),
    (SD.parameters, "height", 64, 2048, " and a multiple of 8"),
    (SD.parameters, "num_inference_steps", 1, 150, ""),
    (SD.parameters, "num_images", 1, 4, ""),
    (SD.parameters, "seed", 0, 2**63 - 1, ""),
    (TTS.parameters, "seed", 0, 2**63 - 1, ""),
    (I2T.parameters, "max_new_tokens", 1, 2048, ""),
    (I2T.parameters, "seed", 0, 2**63 - 1, ""),
]
NUMBERS = [
    (LLM.parameters, "temperature", 0, 2),
    (LLM.parameters, "repetition_penalty", 0.5, 2),
    (SD.parameters, "guidance_scale", 0, 30),
    (TTS.parameters, "speed", 0.25, 4),
]


@pytest.mark.parametrize(("schema", "name", "low", "high", "also"), INTEGERS)
def test_a_whole_number_is_taken_from_its_lowest_to_its_highest_value(
    schema: Any, name: str, low: int, high: int, also: str
) -> None:
    assert problem(schema, {name: low}) == problem(schema, {name: high}) == ""
    refusal = f"{name} must be {low} to {high}{also}"
    for wrong in (low - 1, high + 1, low + 0.5, True, str(low), [low]):
        assert problem(schema, {name: wrong}) == refusal


@pytest.mark.parametrize(("schema", "name", "low", "high"), NUMBERS)
def test_a_number_is_taken_from_its_lowest_to_its_highest_value(
    schema: Any, name: str, low: float, high: float
) -> None:
    assert problem(schema, {name: low}) == problem(schema, {name: high}) == ""
    refusal = f"{name} must be {low:g} to {high:g}"
    for wrong in (low - 0.01, high + 0.01, float("nan"), float("inf"), True, "1", None):
        told = problem(schema, {name: wrong})
        assert told == refusal or (wrong is None and told in ("", f"{name} must not be null"))


def test_top_p_is_above_zero_and_at_most_one() -> None:
    assert problem(LLM.parameters, {"top_p": 1}) == problem(LLM.parameters, {"top_p": 0.001}) == ""
    for wrong in (0, 1.01, -1, "0.5"):
        assert problem(LLM.parameters, {"top_p": wrong}) == "top_p must be above 0 and at most 1"


def test_sizes_are_multiples_of_eight() -> None:
    assert problem(SD.parameters, {"width": 100}) == "width must be 64 to 2048 and a multiple of 8"


TEXTS = [
    (LLM.input, "prompt", 100_000, {}),
    (SD.input, "prompt", 100_000, {}),
    (TTS.input, "text", 5_000, {}),
    (TTS.parameters, "voice", 100, {}),
    (I2T.input, "prompt", 2_000, {"image": "https://example.com/a.png"}),
]


@pytest.mark.parametrize(("schema", "name", "most", "others"), TEXTS)
def test_a_text_is_not_empty_and_not_longer_than_its_bound(
    schema: Any, name: str, most: int, others: dict[str, Any]
) -> None:
    assert problem(schema, {**others, name: "é" * most}) == ""
    assert problem(schema, {**others, name: "a" * (most + 1)}) == f"{name} must be 1 to {most} characters"
    assert problem(schema, {**others, name: ""}) == f"{name} must be 1 to {most} characters"
    assert problem(schema, {**others, name: " \n"}) == f"{name} must not be empty"
    assert problem(schema, {**others, name: 5}) == f"{name} must be text"
    for unstorable in ("a\x00b", "a\ud800b"):
        assert (
            problem(schema, {**others, name: unstorable}) == f"{name} must not hold NUL characters or lone surrogates"
        )


@pytest.mark.parametrize(
    ("schema", "data", "refusal"),
    [
        (LLM.input, {}, "prompt is required (or messages)"),
        (LLM.input, {"prompt": "a", "messages": [{"role": "user", "content": "b"}]},
         "messages must be left out when there is a prompt"),
        (LLM.input, {"messages": []}, "messages must be a list of 1 to 200"),
        (LLM.input, {"messages": [{"role": "user", "content": "x"}] * 201}, "messages must be a list of 1 to 200"),
        (LLM.input, {"messages": "hello"}, "messages must be a list of 1 to 200"),
        (LLM.input, {"messages": ["hello"]}, "messages.0 must be an object"),
        (LLM.input, {"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]},
         "messages.1.role must be one of system, user, assistant"),
        (LLM.input, {"messages": [{"role": "user"}]}, "messages.0.content is required"),
        (LLM.input, {"messages": [{"role": "user", "content": "a", "name": "b"}]},
         "messages.0.name is not a known field"),
        (LLM.input, {"messages": [{"role": "user", "content": "x" * 60_000}] * 2},
         "messages must be at most 100000 characters together"),
        (LLM.input, "hello", "must be an object"),
        (LLM.input, None, "must not be null"),
        (LLM.parameters, {"stop": ["a"] * 5}, "stop must be a list of 0 to 4"),
        (LLM.parameters, {"stop": "a"}, "stop must be a list of 0 to 4"),
        (LLM.parameters, {"stop": ["ok", ""]}, "stop.1 must be 1 to 100 characters"),
        (LLM.parameters, {"stop": ["x" * 101]}, "stop.0 must be 1 to 100 characters"),
        (LLM.parameters, {"temprature": 1}, "temprature is not a known field"),
        (SD.input, {}, "prompt is required"),
        (SD.input, {"prompt": "a", "negative_prompt": "b" * 100_001}, "negative_prompt must be 0 to 100000 characters"),
        (SD.parameters, {"format": "bmp"}, "format must be one of png, webp, jpeg"),
        (SD.parameters, {"format": 1}, "format must be one of png, webp, jpeg"),
        (TTS.input, {}, "text is required"),
        (TTS.parameters, {"format": "aac"}, "format must be one of wav, flac, mp3, ogg"),
        (I2T.input, {}, "image is required"),
        (I2T.parameters, {"temperature": 1}, "temperature is not a known field"),
        (LLM.parameters, {"simulate": {"seconds": 3601}}, "simulate.seconds must be 0 to 3600"),
        (LLM.parameters, {"simulate": {"steps": 0}}, "simulate.steps must be 1 to 10000"),
        (LLM.parameters, {"simulate": {"load_seconds": -1}}, "simulate.load_seconds must be 0 to 600"),
        (LLM.parameters, {"simulate": {"memory_mib": 1_000_001}}, "simulate.memory_mib must be 0 to 1000000"),
        (LLM.parameters, {"simulate": {"fail_attempts": 101}}, "simulate.fail_attempts must be 0 to 100"),
        (LLM.parameters, {"simulate": {"fail": "burn"}},
         "simulate.fail must be one of error, out_of_memory, die, hang, stuck, ignore_cancel, grandchild, poison"),
        (LLM.parameters, {"simulate": {"speed": 1}}, "simulate.speed is not a known field"),
        (LLM.parameters, {"simulate": []}, "simulate must be an object"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_name(schema: Any, data: Any, refusal: str) -> None:
    assert problem(schema, data) == refusal


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"task_type": "video"}, "task_type must be one of llm, stable_diffusion, tts, image_to_text"),
        ({"task_type": None}, "task_type must not be null"),
        ({"model": ""}, "model must be 1 to 200 characters"),
        ({"priority": 0}, "priority must be 1 to 10"),
        ({"priority": 11}, "priority must be 1 to 10"),
        ({"priority": None}, "priority must not be null"),
        ({"start_timeout": 0.5}, "start_timeout must be 1 to 604800"),
        ({"start_timeout": 604_801}, "start_timeout must be 1 to 604800"),
        ({"execution_timeout": 0}, "execution_timeout must be 1 to 86400"),
        ({"execution_timeout": 86_401}, "execution_timeout must be 1 to 86400"),
        ({"max_attempts": 0}, "max_attempts must be 1 to 10"),
        ({"max_attempts": 11}, "max_attempts must be 1 to 10"),
        ({"run_at": "tomorrow"}, "run_at must be a time such as 2030-01-31T12:00:00Z"),
        ({"run_at": 5}, "run_at must be a time such as 2030-01-31T12:00:00Z"),
        ({"run_at": "2999-01-01T00:00:00Z"}, "run_at must be at most 30 days ahead"),
        ({"webhook_url": "ftp://example.com/"}, "webhook_url must be a URL that starts with http or https"),
        ({"webhook_url": "javascript:alert(1)"}, "webhook_url must be a URL that starts with http or https"),
        ({"webhook_url": "https:///nowhere"}, "webhook_url must be a URL that starts with http or https"),
        ({"webhook_url": "https://a:99999/"}, "webhook_url must be a URL that starts with http or https"),
        ({"webhook_url": "https://a/" + "b" * 2000}, "webhook_url must be 1 to 2000 characters"),
        ({"metadata": []}, "metadata must be an object"),
        ({"metadata": {"a": 1}}, "metadata.a must be text"),
        ({"metadata": {"a": "b\x00"}}, "metadata.a must not hold NUL characters or lone surrogates"),
        ({"metadata": {str(n): "" for n in range(51)}}, "metadata must have at most 50 keys"),
        ({"metadata": {"a": "b" * 16_384}}, "metadata must be at most 16384 bytes"),
        ({"colour": "red"}, "colour is not a known field"),
    ],
)
def test_what_is_wrong_around_the_input_is_refused_by_name(change: dict[str, Any], refusal: str) -> None:
    assert problem(TASK_REQUEST, ENVELOPE | change) == refusal


@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"start_timeout": None},
        {"run_at": (datetime.now(UTC) + timedelta(days=29)).isoformat()},
        {"run_at": "2001-01-01T00:00:00"},
        {"webhook_url": "http://hooks:8080/x"},
        {"metadata": {"a" * 10: "b" * 16_374}},
    ],
)
def test_what_lies_just_inside_the_bounds_is_taken(change: dict[str, Any]) -> None:
    assert problem(TASK_REQUEST, ENVELOPE | change) == ""


def test_every_task_type_has_a_schema_whose_parameters_all_have_defaults() -> None:
    assert set(SCHEMAS) == set(TaskType.values)
    for schema in SCHEMAS.values():
        filled = schema.parameters.run_validation({})
        assert set(filled) == set(schema.parameters.fields) - {"simulate"}


def test_one_instance_gives_every_request_its_own_values() -> None:
    first = LLM.parameters.run_validation({})
    first["stop"].append("changed")
    assert LLM.parameters.run_validation({})["stop"] == []
