"""What these clients call the parts of a task, so that an error names what they sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework.exceptions import ValidationError

from tasks_app.api.errors import InvalidInput
from tasks_app.schemas.problems import first_problem, name_of
from workers_app.models import TaskType

TEXTS = {"input.messages": "messages", "input.prompt": "prompt", "parameters.max_new_tokens": "max_tokens"}
NAMES: dict[str, dict[str, str]] = {  # task type: our path: their name
    TaskType.LLM: TEXTS,
    TaskType.IMAGE_TO_TEXT: {**TEXTS, "input.image": "messages", "input.prompt": "messages"},
    TaskType.STABLE_DIFFUSION: {
        "parameters.width": "size",
        "parameters.height": "size",
        "parameters.num_images": "n",
        "parameters.format": "output_format",
    },
    TaskType.TTS: {"input.text": "input", "parameters.format": "response_format"},
}


def param_of(task_type: str, path: str) -> str:
    """`path` as of POST /tasks/: "parameters.width" of an image is "size" there."""
    if path in NAMES[task_type]:
        return NAMES[task_type][path]
    head, _, rest = path.partition(".")
    if head == "input":
        top, _, deeper = rest.partition(".")
        return ".".join(filter(None, (NAMES[task_type].get(f"input.{top}", top), deeper)))
    return rest if head == "parameters" else path


def problem_of(task_type: str, error: ValidationError) -> tuple[str, str]:
    """Of an error of `submission`: their name of what is wrong, and a sentence about it."""
    path, predicate = first_problem(error.detail)
    param, ours = param_of(task_type, path), name_of(path)
    subject = f"{param}: {ours}" if param == "size" else param or ours
    return param, f"{subject} {predicate}"


@contextmanager
def named_theirs(task_type: str) -> Iterator[None]:
    """Raises InvalidInput for a ValidationError of `submission`."""
    try:
        yield
    except ValidationError as error:
        param, message = problem_of(task_type, error)
        raise InvalidInput(message, param) from None
