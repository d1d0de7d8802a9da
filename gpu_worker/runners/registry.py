"""Which runner serves which model. A new kind is one module and one line here. Each is imported when it is needed."""

from __future__ import annotations

from importlib import import_module

from gpu_worker.engine.protocol import ModelSpec, Submit
from gpu_worker.runners.base import ModelRefused, Runner
from gpu_worker.runners.simulated import SimulatedRunner

RUNNERS = {
    ("transformers", "llm"): "gpu_worker.runners.llm:LanguageModelRunner",
    ("transformers", "stable_diffusion"): "gpu_worker.runners.stable_diffusion:StableDiffusionRunner",
    ("transformers", "tts"): "gpu_worker.runners.tts:SpeechRunner",
    ("transformers", "image_to_text"): "gpu_worker.runners.image_to_text:ImageToTextRunner",
    ("simulated", "llm"): "gpu_worker.runners.simulated:SimulatedRunner",
    ("simulated", "stable_diffusion"): "gpu_worker.runners.simulated:SimulatedRunner",
    ("simulated", "tts"): "gpu_worker.runners.simulated:SimulatedRunner",
    ("simulated", "image_to_text"): "gpu_worker.runners.simulated:SimulatedRunner",
}


def needs_libraries(spec: ModelSpec) -> bool:
    """Whether torch must be imported first. Simulated models run without it."""
    return spec.runner != "simulated"


def model_of(request: Submit) -> ModelSpec:
    """The model as this request wants it: simulated ones cost what the request says."""
    return SimulatedRunner.model_of(request) if request.model.runner == "simulated" else request.model


def create(spec: ModelSpec) -> Runner:
    """A runner for this model, not set up yet. Raises ModelRefused for an unknown kind."""
    path = RUNNERS.get((spec.runner, spec.task_type))
    if path is None:
        raise ModelRefused(f"no runner for task type {spec.task_type!r} with runner {spec.runner!r}")
    module, _, name = path.partition(":")
    runner: Runner = getattr(import_module(module), name)()
    return runner
