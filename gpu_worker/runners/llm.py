"""Language models: one token per step and request, streamed. `sampling` chooses tokens, `text_stream` shows text."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import Cancelled, Completed, ModelSpec, Usage
from gpu_worker.runners.adapters import TransformersBearer
from gpu_worker.runners.base import Control, Execution, InvalidInput
from gpu_worker.runners.pretrained import PretrainedRunner, seed_of, size_mib
from gpu_worker.runners.sampling import Sampler
from gpu_worker.runners.text_stream import TextStream

DEFAULT_NEW_TOKENS = 256
NO_LIMIT = 10**9  # transformers writes absurd numbers where a tokenizer knows no limit


@dataclass(slots=True)
class Generation:
    """`tokens` (1, n) on the device; the first `seen` of them are in the cache."""

    tokens: torch.Tensor
    prompt_tokens: int
    max_new_tokens: int
    sampler: Sampler
    stream: TextStream
    cache: Any = None
    seen: int = 0

    def usage(self) -> Usage:
        return Usage(input_tokens=self.prompt_tokens, output_tokens=self.stream.count)

    def result(self, finish_reason: str) -> dict[str, Any]:
        return {"text": self.stream.text, "finish_reason": finish_reason}


class LanguageModelRunner(PretrainedRunner):
    max_concurrent = 8  # they take turns, a token each

    def setup(self, spec: ModelSpec, device: Device) -> int:
        self.tokenizer = self.load_companion(AutoTokenizer)
        self.model = self.load(AutoModelForCausalLM)
        self.takes_adapters(TransformersBearer(self.model), spec)
        self.context_length = _context_length(spec, self.model, self.tokenizer)
        self.end_tokens = _end_tokens(self.model, self.tokenizer)
        accepted = inspect.signature(self.model.forward).parameters
        self.forward_options = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        return size_mib(self.model)

    def begin(self, execution: Execution) -> None:
        parameters = execution.request.parameters
        tokens = self._encode(execution.request.input)
        if len(tokens) >= self.context_length:
            limit = f"this model's context holds {self.context_length}, answer included"
            raise InvalidInput(f"the prompt has {len(tokens)} tokens; {limit}", "input")
        asked = parameters.get("max_new_tokens") or DEFAULT_NEW_TOKENS
        execution.state = Generation(
            tokens=torch.tensor([tokens], device=self.device),
            prompt_tokens=len(tokens),
            max_new_tokens=min(asked, self.context_length - len(tokens)),
            sampler=Sampler(parameters, seed_of(execution)),
            stream=TextStream(self._decode, parameters.get("stop") or ()),
        )

    @torch.inference_mode()
    def run(self, batch: Sequence[Execution], control: Control) -> None:
        for execution in batch:
            self._step(execution, control)

    def cancelled(self, execution: Execution) -> Cancelled:
        generation: Generation = execution.state
        generation.stream.end()
        return Cancelled(generation.result("cancelled"), generation.usage())

    def _step(self, execution: Execution, control: Control) -> None:
        generation: Generation = execution.state
        token = generation.sampler(generation.tokens, self._forward(generation))
        if token in self.end_tokens:
            self._finish(execution, control, "", "stop")
            return
        generation.tokens = torch.cat([generation.tokens, generation.tokens.new_tensor([[token]])], dim=1)
        delta = generation.stream.push(token)
        if generation.stream.stopped:
            self._finish(execution, control, delta, "stop")
        elif generation.stream.count >= generation.max_new_tokens:
            self._finish(execution, control, delta, "length")
        else:
            control.progress(execution, generation.stream.count, generation.max_new_tokens, delta)

    def _forward(self, generation: Generation) -> torch.Tensor:
        """Logits (1, vocabulary) of the next token."""
        try:
            output = self.model(
                input_ids=generation.tokens[:, generation.seen :],
                past_key_values=generation.cache,
                use_cache=True,
                **self.forward_options,
            )
        except RuntimeError:  # out of memory, perhaps: some layers took the token in and some did not
            generation.cache, generation.seen = None, 0  # the lane calls again, and the prompt is read again
            raise
        generation.cache = output.past_key_values
        generation.seen = generation.tokens.shape[1]
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _finish(self, execution: Execution, control: Control, delta: str, reason: str) -> None:
        generation: Generation = execution.state
        delta += generation.stream.end()
        control.progress(execution, generation.stream.count, generation.max_new_tokens, delta)
        execution.outcome = Completed(generation.result(reason), usage=generation.usage())

    # ------------------------------------------------------------ text and tokens

    def _encode(self, given: dict[str, Any]) -> list[int]:
        messages = given.get("messages")
        if self.tokenizer.chat_template is None:
            if messages:
                raise InvalidInput("this model has no chat template; send a prompt instead", "input.messages")
            tokens: list[int] = self.tokenizer(given["prompt"])["input_ids"]
        else:
            tokens = self._encode_chat(messages or [{"role": "user", "content": given["prompt"]}])
        if not tokens:
            raise InvalidInput("the prompt is empty", "input.prompt")
        return tokens

    def _encode_chat(self, messages: list[dict[str, Any]]) -> list[int]:
        try:
            encoded = self.tokenizer.apply_chat_template(
                [{**message, "content": _plain(message["content"])} for message in messages],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
            )
        except TemplateError as error:  # a template's way to refuse an order of roles
            raise InvalidInput(f"the model's chat template refuses: {error}", "input.messages") from error
        return list(encoded["input_ids"])

    def _decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _plain(content: str | list[dict[str, Any]]) -> str:
    """The text of a message, which may come in parts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _context_length(spec: ModelSpec, model: Any, tokenizer: Any) -> int:
    """Tokens, prompt and answer together; the catalogue's options may lower it."""
    limits = (
        spec.options.get("context_length"),
        getattr(model.config.get_text_config(), "max_position_embeddings", None),
        tokenizer.model_max_length,
    )
    return min((int(limit) for limit in limits if limit), default=NO_LIMIT)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id
    several = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*several, tokenizer.eos_token_id) if token is not None)
