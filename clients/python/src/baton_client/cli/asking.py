"""What `baton run` and `submit` can be told of a task, and the request that it makes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from baton_client.calls import SubmitFields
from baton_client.cli import words
from baton_client.client import Client

Type = Annotated[
    str,
    typer.Argument(
        metavar="TYPE",
        parser=words.task_type,
        help="llm (or chat), stable_diffusion (image, sd), tts (speech), image_to_text (caption).",
    ),
]
Main = Annotated[
    str | None,
    typer.Argument(
        metavar="TEXT",
        help="The prompt, or the text to speak; of a caption task the image: a file, https URL or artifact://ID. "
        "- reads it from stdin.",
    ),
]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="As `baton models` lists them. Left out: the default.")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; again for more: -p seed=7 -p top_p=0.9."),
]  # fmt: skip
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", metavar="NAME=VALUE", help="More of the input: -i negative_prompt=blurry."),
]
Priority = Annotated[int | None, typer.Option("--priority", help="1 to 10, 10 is most urgent.")]
Attempts = Annotated[int | None, typer.Option("--max-attempts", help="Tries, should workers be lost: 1 to 10.")]
StartTimeout = Annotated[
    float | None,
    typer.Option("--start-timeout", parser=words.duration, metavar="TIME", help="Expire if not started by then."),
]
ExecutionTimeout = Annotated[
    float | None,
    typer.Option("--execution-timeout", parser=words.duration, metavar="TIME", help="At most so long in inference."),
]
Metadata = Annotated[list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="Kept with the task.")]
Webhook = Annotated[str | None, typer.Option("--webhook", metavar="URL", help="Told when the task has ended.")]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="Your name for it: said twice, it is made once.")]


def input_of(client: Client, task_type: str, text: str | None, more: list[str] | None) -> dict[str, Any]:
    given = words.assignments(more)
    main = words.MAIN_INPUT[task_type]
    if text is not None:
        given[main] = words.from_stdin(text)
    image = given.get("image")
    if task_type == "image_to_text" and isinstance(image, str) and words.is_local_file(image):
        given["image"] = client.upload(words.existing(image)).uri
    return given


def fields_of(
    model: str | None, param: list[str] | None, priority: int | None, max_attempts: int | None,
    start_timeout: float | None, execution_timeout: float | None, metadata: list[str] | None, webhook: str | None,
) -> SubmitFields:  # fmt: skip
    """What was said; what was not is the server's to decide."""
    fields: SubmitFields = {"parameters": words.assignments(param), "metadata": words.texts(metadata)}
    if model is not None:
        fields["model"] = model
    if priority is not None:
        fields["priority"] = priority
    if max_attempts is not None:
        fields["max_attempts"] = max_attempts
    if start_timeout is not None:
        fields["start_timeout"] = start_timeout
    if execution_timeout is not None:
        fields["execution_timeout"] = execution_timeout
    if webhook is not None:
        fields["webhook_url"] = webhook
    return fields
