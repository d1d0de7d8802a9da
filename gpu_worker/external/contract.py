"""What a plain worker is given, and how its answer is read; docs/external-workers.md says the same in words.

Pure but for the files it writes into the request's directory. Knows Celery's exceptions by name only.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from gpu_worker.engine.protocol import Completed, Failed, OutputFile, Submit, Usage
from tasks_app.images.formats import InvalidImage, validate
from tasks_app.retries import FailureCode

MAX_FILE_BYTES = 32 * 1024 * 1024  # of one image or sound, decoded: it went through their broker's memory twice
MAX_IMAGES = 4  # what a request can ask for
MAX_TEXT = 1024 * 1024  # characters
MAX_MESSAGE = 500  # characters of an error
AUDIO_TYPES = {"WAV": "audio/wav", "FLAC": "audio/flac", "MP3": "audio/mpeg", "OGG": "audio/ogg"}

# By the name of the exception's class, since its module is not here. All else is `internal_error`.
FAILURES: Mapping[str, FailureCode] = {
    "ValueError": FailureCode.INVALID_INPUT,
    "InvalidInput": FailureCode.INVALID_INPUT,
    "ModelLoadFailed": FailureCode.MODEL_LOAD_FAILED,
    "MemoryError": FailureCode.CUDA_OUT_OF_MEMORY,
    "OutOfMemoryError": FailureCode.CUDA_OUT_OF_MEMORY,
    "TimeLimitExceeded": FailureCode.EXECUTION_TIMEOUT,
    "SoftTimeLimitExceeded": FailureCode.EXECUTION_TIMEOUT,
    "WorkerLostError": FailureCode.ENGINE_CRASHED,
    "Terminated": FailureCode.ENGINE_CRASHED,
}


class WrongAnswer(Exception):
    """The worker returned something that the contract does not know."""


def arguments(request: Submit) -> dict[str, Any]:
    """The keyword arguments of the Celery task. An image travels as a data URL: the worker shares no disk with us."""
    content = dict(request.input)
    if "image" in content:
        path = Path(content["image"])
        kind = mimetypes.guess_type(path.name)[0]
        content["image"] = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return {
        "task_id": request.task_id,
        "model": request.model.name,
        "input": content,
        "parameters": request.parameters,
    }


def completed(request: Submit, value: Any, seconds: float) -> Completed | Failed:
    try:
        result, files, usage = _READERS[request.model.task_type](value, Path(request.directory))
    except WrongAnswer as error:
        message = f"The external worker's answer {error}."
        return Failed(FailureCode.INTERNAL_ERROR, message, inference_seconds=seconds)
    return Completed(result, files, usage, seconds)


def failed(name: str, message: str, traceback: str, seconds: float) -> Failed:
    """From the exception that the task raised: the name of its class and what it said."""
    code = FAILURES.get(name, FailureCode.INTERNAL_ERROR)
    text = message if code == FailureCode.INVALID_INPUT else f"{name}: {message}"
    return Failed(code, text[:MAX_MESSAGE], traceback, inference_seconds=seconds)


_Read = tuple[dict[str, Any], tuple[OutputFile, ...], Usage]


def _language(value: Any, directory: Path) -> _Read:
    answer = {"text": value} if isinstance(value, str) else _object(value, "answer")
    reason = answer.get("finish_reason", "stop")
    if reason not in ("stop", "length"):
        raise WrongAnswer("has a finish_reason that is neither stop nor length")
    return {"text": _text(answer), "finish_reason": reason}, (), _tokens(answer)


def _caption(value: Any, directory: Path) -> _Read:
    answer = {"text": value} if isinstance(value, str) else _object(value, "answer")
    return {"text": _text(answer)}, (), _tokens(answer)


def _images(value: Any, directory: Path) -> _Read:
    images = _object(value, "answer").get("images")
    if not isinstance(images, list) or not 1 <= len(images) <= MAX_IMAGES:
        raise WrongAnswer(f"must have 1 to {MAX_IMAGES} images")
    described, files = [], []
    for number, image in enumerate(images):
        entry = _object(image, "image")
        content = _bytes(entry)
        try:
            content_type = validate(content)
        except InvalidImage as error:
            raise WrongAnswer(f"holds an image that {error}") from error
        with Image.open(BytesIO(content)) as opened:
            width, height = opened.size
        seed = entry.get("seed") if type(entry.get("seed")) is int else None
        described.append({"file": number, "width": width, "height": height, "seed": seed})
        files.append(_written(directory / f"image-{number}", content, content_type))
    return {"images": described}, tuple(files), Usage(images=len(files))


def _speech(value: Any, directory: Path) -> _Read:
    import soundfile

    content = _bytes(_object(_object(value, "answer").get("audio"), "audio"))
    try:
        info = soundfile.info(BytesIO(content))
        content_type = AUDIO_TYPES[info.format]
    except (soundfile.LibsndfileError, KeyError) as error:
        raise WrongAnswer(f"holds audio that is none of {', '.join(AUDIO_TYPES)}") from error
    audio = {
        "file": 0,
        "format": info.format.lower(),
        "sample_rate": info.samplerate,
        "duration_seconds": round(info.duration, 3),
    }
    file = _written(directory / "speech", content, content_type)
    return {"audio": audio}, (file,), Usage(audio_seconds=info.duration)


_READERS = {"llm": _language, "image_to_text": _caption, "stable_diffusion": _images, "tts": _speech}


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongAnswer(f"has no {what} that is an object but {type(value).__name__}")
    return value


def _text(answer: dict[str, Any]) -> str:
    text = answer.get("text")
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise WrongAnswer(f"must have a text of at most {MAX_TEXT} characters")
    return text


def _tokens(answer: dict[str, Any]) -> Usage:
    usage = answer.get("usage")
    told = usage if isinstance(usage, dict) else {}
    counts = {name: told.get(name) for name in ("input_tokens", "output_tokens")}
    return Usage(**{name: n for name, n in counts.items() if type(n) is int and 0 <= n < 2**31})


def _bytes(entry: dict[str, Any]) -> bytes:
    """`data` is base64, with or without the head of a data URL."""
    data = entry.get("data")
    if not isinstance(data, str) or len(data) > MAX_FILE_BYTES * 4 / 3 + 100:
        raise WrongAnswer(f"must have data of at most {MAX_FILE_BYTES} bytes, in base64")
    try:
        return base64.b64decode(data.partition("base64,")[2] if data[:5] == "data:" else data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongAnswer("has data that is no base64") from error


def _written(path: Path, content: bytes, content_type: str) -> OutputFile:
    path.write_bytes(content)
    return OutputFile(str(path), content_type)
