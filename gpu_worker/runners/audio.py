"""Writes finished speech into a request's directory. Called by the runners that make sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpu_worker.engine.protocol import Completed, OutputFile, Usage
from gpu_worker.runners.base import Execution, InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FORMATS = {  # format: (container, encoding, content type), by libsndfile's names
    "wav": ("WAV", "PCM_16", "audio/wav"),
    "flac": ("FLAC", "PCM_16", "audio/flac"),
    "mp3": ("MP3", "MPEG_LAYER_III", "audio/mpeg"),
    "ogg": ("OGG", "VORBIS", "audio/ogg"),
}


def completed(execution: Execution, samples: npt.NDArray[np.float32], sample_rate: int) -> Completed:
    """The outcome of a request for speech. `samples`: mono, -1 to 1; `sample_rate` in hertz."""
    import soundfile

    kind = execution.request.parameters.get("format") or "wav"
    container, encoding, content_type = FORMATS[kind]
    path = execution.path(f"speech.{kind}")
    try:
        soundfile.write(path, samples, sample_rate, format=container, subtype=encoding)
    except soundfile.LibsndfileError as error:  # MP3, for one, knows only some sample rates
        raise InvalidInput(f"{kind} cannot hold {sample_rate} Hz: {error.error_string}", "parameters.format") from error
    seconds = len(samples) / sample_rate
    audio: dict[str, Any] = {"file": 0, "format": kind, "sample_rate": sample_rate, "duration_seconds": seconds}
    return Completed({"audio": audio}, (OutputFile(str(path), content_type),), Usage(audio_seconds=seconds))
