"""Text to speech, one sentence after the other: VITS by one forward call, other models by their `generate`."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForTextToWaveform, AutoProcessor, AutoTokenizer

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import ModelSpec
from gpu_worker.runners import audio
from gpu_worker.runners.base import Control, Execution, InvalidInput, ModelRefused
from gpu_worker.runners.pretrained import PretrainedRunner, seed_of, size_mib
from gpu_worker.runners.seeded_noise import SeededNoise

SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
LONGEST = 200  # characters spoken at once: time and memory grow with the square, and a stop waits for the layer
PAUSE = 0.15  # seconds of silence between two sentences

Samples = npt.NDArray[np.float32]


class SpeechRunner(PretrainedRunner):
    def setup(self, spec: ModelSpec, device: Device) -> int:
        self.model = self.load(AutoModelForTextToWaveform)
        self.by_forward = self.model.config.model_type == "vits"
        self.tokenizer = self.load_companion(AutoTokenizer if self.by_forward else AutoProcessor)
        self.sample_rate = _sample_rate(self.model)
        self.voices: dict[str, int] = spec.options.get("voices") or {}
        self._encode("a")  # a tokenizer whose phonemizer is not installed says so now
        self.talking: tuple[Execution, Control] | None = None
        for module in self.model.modules():
            if not list(module.children()):
                module.register_forward_pre_hook(self._on_layer)
        return size_mib(self.model)

    def begin(self, execution: Execution) -> None:
        parameters = execution.request.parameters
        sentences = [part for part in _sentences(execution.request.input["text"]) if self._pronounceable(part)]
        if not sentences:
            raise InvalidInput("the text has no letter that this model can pronounce", "input.text")
        options = {**self._voice(parameters.get("voice")), **self._speed(parameters.get("speed") or 1.0)}
        execution.state = (sentences, options, seed_of(execution))

    @torch.inference_mode()
    def run(self, batch: Sequence[Execution], control: Control) -> None:
        for execution in batch:
            sentences, options, seed = execution.state
            spoken = []
            with self._stoppable(execution, control):
                for number, sentence in enumerate(sentences):
                    spoken.append(self._speak(sentence, options, seed + number))
                    control.checkpoint(execution, number + 1, len(sentences))
            execution.outcome = audio.completed(execution, _join(spoken, self.sample_rate), self.sample_rate)

    def _speak(self, sentence: str, options: dict[str, Any], seed: int) -> Samples:
        inputs = self._encode(sentence).to(self.device)
        with SeededNoise(seed):  # these models draw noise inside and take no generator
            output = self.model(**inputs, **options) if self.by_forward else self.model.generate(**inputs)
        return _samples(output)

    # ------------------------------------------------------------ stopping inside a sentence

    @contextmanager
    def _stoppable(self, execution: Execution, control: Control) -> Iterator[None]:
        self.talking = (execution, control)
        try:
            yield
        finally:
            self.talking = None

    def _on_layer(self, module: torch.nn.Module, inputs: Any) -> None:
        if self.talking is not None:
            execution, control = self.talking
            control.tick(execution)

    # ------------------------------------------------------------ what only the model knows

    def _encode(self, text: str) -> Any:
        return self.tokenizer(text, return_tensors="pt")

    def _pronounceable(self, text: str) -> bool:
        """Whether a letter or digit is left after the tokenizer has dropped what it does not know."""
        tokenizer = getattr(self.tokenizer, "tokenizer", self.tokenizer)
        tokens = set(self._encode(text)["input_ids"].flatten().tolist()) - set(tokenizer.all_special_ids)
        return any(
            character.isalnum() for token in tokenizer.convert_ids_to_tokens(list(tokens)) for character in token
        )

    def _voice(self, voice: str | int | None) -> dict[str, int]:
        if voice is None or voice == "":
            return {}
        number = self.voices.get(str(voice), int(voice) if str(voice).isdigit() else None)
        speakers = getattr(self.model.config, "num_speakers", 1) if self.by_forward else 0
        if number is None or number >= speakers:
            known = ", ".join(self.voices) or f"0 to {speakers - 1}" if speakers > 1 else "its default"
            raise InvalidInput(f"this model has no voice {voice!r}; it has {known}", "parameters.voice")
        return {"speaker_id": number} if speakers > 1 else {}

    def _speed(self, speed: float) -> dict[str, float]:
        if speed == 1.0:
            return {}
        if not self.by_forward or "speaking_rate" not in inspect.signature(self.model.forward).parameters:
            raise InvalidInput("this model cannot change its speed", "parameters.speed")
        return {"speaking_rate": self.model.speaking_rate * speed}


def _sentences(text: str) -> list[str]:
    """In the order of the text; a sentence that is too long is cut between words."""
    return [part for sentence in SENTENCE_END.split(text) for part in textwrap.wrap(sentence, LONGEST)]


def _sample_rate(model: Any) -> int:
    """Hertz. The libraries have no one place for it."""
    configs = (model.config, getattr(model.config, "audio_encoder", None), getattr(model, "generation_config", None))
    for config in configs:
        for name in ("sampling_rate", "sample_rate"):
            rate = getattr(config, name, None)
            if rate:
                return int(rate)
    raise ModelRefused(f"models of type {model.config.model_type} are not supported: no sample rate is known")


def _samples(output: Any) -> Samples:
    """Mono samples out of whatever this kind of model returns."""
    for name in ("waveform", "audio_values", "sequences"):
        output = getattr(output, name, output)
    waveform = output[0] if isinstance(output, tuple | list) else output
    return np.asarray(waveform.float().cpu().numpy().reshape(-1), dtype=np.float32)


def _join(spoken: list[Samples], sample_rate: int) -> Samples:
    silence = np.zeros(int(PAUSE * sample_rate), dtype=np.float32)
    parts = [part for sentence in spoken for part in (sentence, silence)]
    return np.concatenate(parts[:-1]).clip(-1.0, 1.0)
