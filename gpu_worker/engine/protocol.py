"""What crosses the pipe between the worker and its engine process; it imports nothing of either side.

Every message is a frozen dataclass, sent pickled through a `multiprocessing.connection.Connection` between a
parent and the child it started itself. Times are seconds, memory is MiB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Phase = Literal["loading_model", "inference"]


# ---------------------------------------------------------------- worker → engine


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One row of the catalogue, as far as the engine needs it."""

    name: str
    task_type: str  # llm, stable_diffusion, tts, image_to_text
    runner: str  # "simulated" or "transformers"; with task_type it chooses the class in runners/registry.py
    source: str = ""  # hub id or absolute folder; empty for simulated models
    revision: str | None = None
    dtype: str = "auto"  # auto, float32, float16, bfloat16
    memory_mib: int = 0  # estimate; 0 means: read it from the safetensors headers
    pinned: bool = False  # once loaded it makes room for no other
    keep_alive_seconds: float | None = None  # idle time after which it is unloaded; None keeps it until room is needed
    options: dict[str, Any] = field(default_factory=dict)  # runner specific, from the catalogue
    base: str = ""  # of an adapted model: the name of the one whose weights it shares, which `source` holds
    adapter: str = ""  # hub id or absolute folder of a LoRA adapter

    @property
    def lane_name(self) -> str:
        """Of the model whose weights are loaded."""
        return self.base or self.name


@dataclass(frozen=True, slots=True)
class Submit:
    """Run one request. `request_id` is the attempt's id. Output files go to `directory` and nowhere else.

    `input` and `parameters` were validated by the API and carry every default; an `image` in the input is a local path.
    """

    request_id: str
    model: ModelSpec
    input: dict[str, Any]
    parameters: dict[str, Any]
    directory: str
    number: int = 1  # the attempt's number; the simulated runner fails only the first `fail_attempts`
    task_id: str = ""  # for whoever writes logs elsewhere
    execution_timeout: float | None = None  # seconds; kept by the worker, and told to an external one


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop this request at the next token, denoising step or chunk. Unknown ids are ignored."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Load:
    """Make these models warm, in this order, as far as they fit together; requests go on meanwhile."""

    models: tuple[ModelSpec, ...]


Command = Submit | Cancel | Load  # the end of the stream means: stop


# ---------------------------------------------------------------- engine → worker


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    type: str  # cuda, cpu
    name: str
    memory_total_mib: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine takes requests. Real models may still be importing torch; that time counts as model load."""

    pid: int
    device: DeviceInfo
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """`inference`: the model is warm now; `model_load_seconds` is what this request waited for it, 0.0 if warm."""

    request_id: str
    phase: Phase
    model_load_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    request_id: str
    step: int
    total_steps: int
    text_delta: str = ""  # llm and image_to_text: the text that this step added
    preview: bytes = b""  # stable_diffusion, if asked for: a small JPEG of the first image so far, now and then

    @property
    def fraction(self) -> float:
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int | None = None
    audio_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A finished file in the request's directory. The worker stores it and removes the directory."""

    path: str
    content_type: str


# Every outcome has `relief`: what was done when memory ran out, in this order: free_cache, smaller_batch (alone),
# smaller_pieces (half of its images at once), evict_idle (models).


@dataclass(frozen=True, slots=True)
class Completed:
    """`result` follows API.md; where it needs an artifact it says {"file": n, …}, n being the index in `files`.

    The worker replaces `file` with `artifact_id`.
    """

    result: dict[str, Any]
    files: tuple[OutputFile, ...] = ()
    usage: Usage = Usage()
    inference_seconds: float = 0.0
    relief: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """`code` is one of the failure codes of the API; `detail` is a traceback for operators, never shown to clients."""

    code: str
    message: str
    detail: str = ""
    param: str | None = None
    inference_seconds: float = 0.0
    relief: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Stopped cooperatively. `result` is what was done until then, or None."""

    result: dict[str, Any] | None = None
    usage: Usage = Usage()
    inference_seconds: float = 0.0
    relief: tuple[str, ...] = ()


Outcome = Completed | Failed | Cancelled


@dataclass(frozen=True, slots=True)
class Finished:
    request_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class WarmModel:
    name: str
    memory_mib: int  # as measured
    task_type: str = ""


@dataclass(frozen=True, slots=True)
class LanePulse:
    """One model's thread, labelled `name#n`. `exempt` while it loads: standing still is no stall then."""

    model: str
    steps: int
    active: int
    exempt: bool


@dataclass(frozen=True, slots=True)
class Pulse:
    """Sent every PULSE_INTERVAL by a thread of its own, so it also comes while a lane hangs."""

    lanes: tuple[LanePulse, ...]
    warm: tuple[WarmModel, ...]
    memory_used_mib: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A small job with a known answer has run on the device. The first comes before Ready.

    `problem` is empty if the answer was right. `routine`: it was time for one, and the engine has not just begun.
    """

    problem: str
    routine: bool


Report = Ready | PhaseChanged | Progress | Finished | Pulse | Checked

PULSE_INTERVAL = 0.5  # seconds
