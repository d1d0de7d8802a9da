"""Is the result of a completed task what its type promises? Files are downloaded and compared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from orchestrator.check.api import Api
from orchestrator.check.trouble import Trouble

Json = dict[str, Any]
BEGINNINGS = {"image/png": b"\x89PNG\r\n", "audio/wav": b"RIFF"}  # what the samples ask for
QUOTED = 40  # characters of a text that are shown
BROKEN_FILE = "DATA_DIR/artifacts must be one storage that the web process and the workers share."


@dataclass(frozen=True, slots=True)
class Evidence:
    """`fingerprint`: what another run with the same seed must agree in. `shown`: for the line."""

    fingerprint: str
    shown: str


def verify(api: Api, task: Json) -> Evidence:
    """Raises Trouble for a text that is empty and a file that is not what was promised."""
    match task["task_type"]:
        case "llm" | "image_to_text":
            return _text(task["result"]["text"])
        case "stable_diffusion":
            promised = [image["artifact_id"] for image in task["result"]["images"]]
        case _:
            promised = [task["result"]["audio"]["artifact_id"]]
    return _files(api, task, promised)


def _text(text: str) -> Evidence:
    if not text.strip():
        raise Trouble("the text is empty", "The model said nothing: try another prompt by hand, or another model.")
    line = " ".join(text.split())
    return Evidence(text, repr(line if len(line) <= QUOTED else line[: QUOTED - 1] + "…"))


def _files(api: Api, task: Json, promised: list[str]) -> Evidence:
    files = {file["artifact_id"]: file for file in task["artifacts"]}
    if not promised or set(promised) - set(files):
        raise Trouble("the result names files that the task does not have", BROKEN_FILE)
    for artifact_id in promised:
        _check_file(api, files[artifact_id])
    first = files[promised[0]]
    kib = first["size_bytes"] / 1024
    digests = " ".join(files[artifact_id]["sha256"] for artifact_id in promised)
    return Evidence(digests, f"{first['content_type']}, {kib:.1f} KiB, sha256 as told")


def _check_file(api: Api, told: Json) -> None:
    file = api.download(told["url"])
    digest = hashlib.sha256(file.content).hexdigest()
    if (len(file.content), digest) != (told["size_bytes"], told["sha256"]):
        raise Trouble(f"{told['url']}: the bytes are not those that its sha256 tells", BROKEN_FILE)
    beginning = BEGINNINGS.get(told["content_type"], b"")
    if file.content_type != told["content_type"] or not file.content.startswith(beginning):
        raise Trouble(f"{told['url']} is no {told['content_type']}", BROKEN_FILE)
