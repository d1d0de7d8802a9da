"""Language models: text in, tokens from a decoder, text out as it comes. `decoding` reads, `sampling` chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpu_worker.engine import failures
from gpu_worker.engine.device import Device
from gpu_worker.engine.protocol import Cancelled, Completed, Failed, ModelSpec, Usage
from gpu_worker.runners.adapters import TransformersBearer
from gpu_worker.runners.base import Control, Execution, InvalidInput
from gpu_worker.runners.decoding import memory
from gpu_worker.runners.decoding.choice import decoder_for
from gpu_worker.runners.decoding.generation import Generation, Ready
from gpu_worker.runners.pretrained import PretrainedRunner, seed_of, size_mib
from gpu_worker.runners.sampling import Sampling, choose
from gpu_worker.runners.text_stream import TextStream

DEFAULT_NEW_TOKENS = 256
NO_LIMIT = 10**9  # transformers writes absurd numbers where a tokenizer knows no limit


@dataclass(eq=False, slots=True)
class Answer:
    """What a request is to be told, and where its text is in the making."""

    generation: Generation
    prompt_tokens: int
    max_new_tokens: int
    stream: TextStream

    def usage(self) -> Usage:
        return Usage(input_tokens=self.prompt_tokens, output_tokens=self.stream.count)

    def result(self, finish_reason: str) -> dict[str, Any]:
        return {"text": self.stream.text, "finish_reason": finish_reason}


class LanguageModelRunner(PretrainedRunner):
    def memory_mib(self, spec: ModelSpec, device: Device) -> int:
        """Weights and cache, unless the catalogue knows better."""
        weights = super().memory_mib(spec, device)
        if spec.memory_mib:
            return weights
        folder = self.checkpoint.folder
        context = spec.options.get("context_length") or memory.foreseen_context(folder)
        token_bytes = memory.foreseen_token_bytes(folder, self.dtype)
        return weights + memory.wanted_mib(spec, device, int(context), token_bytes)

    def setup(self, spec: ModelSpec, device: Device) -> int:
        self.tokenizer = self.load_companion(AutoTokenizer)
        self.model = self.load(AutoModelForCausalLM)
        self.takes_adapters(TransformersBearer(self.model), spec)
        self.end_tokens = _end_tokens(self.model, self.tokenizer)
        self.context_length = _context_length(spec, self.model, self.tokenizer)
        self.decoder = decoder_for(self.model, spec, device, self.context_length)
        self.max_concurrent = self.decoder.max_concurrent
        self.arrivals = 0
        return size_mib(self.model) + self.decoder.memory_mib

    def begin(self, execution: Execution) -> None:
        parameters = execution.request.parameters
        tokens = self._encode(execution.request.input)
        room = self._room(len(tokens))
        self.arrivals += 1
        execution.state = Answer(
            Generation(tokens, Sampling.of(parameters, seed_of(execution)), self.arrivals),
            prompt_tokens=len(tokens),
            max_new_tokens=min(parameters.get("max_new_tokens") or DEFAULT_NEW_TOKENS, room),
            stream=TextStream(self._decode, parameters.get("stop") or ()),
        )

    @torch.inference_mode()
    def run(self, batch: Sequence[Execution], control: Control) -> None:
        """One token for each, but for those whose prompt is not read yet, or who wait for room."""
        executions = {execution.state.generation: execution for execution in batch}
        for part in self.decoder.read(list(executions)):
            ready = self.decoder.forward(part)
            if ready is not None:
                self._write(ready, executions, control)

    def cancelled(self, execution: Execution) -> Cancelled:
        answer: Answer = execution.state
        answer.stream.end()
        return Cancelled(answer.result("cancelled"), answer.usage())

    def end(self, execution: Execution) -> None:
        if execution.state is not None:
            self.decoder.release(execution.state.generation)
        super().end(execution)

    def _write(self, ready: Ready, executions: dict[Generation, Execution], control: Control) -> None:
        for generation, token in zip(ready.generations, self._choose(ready), strict=True):
            generation.sampling.settled()
            execution = executions[generation]
            try:
                self._add(execution, token, control)
            except Exception as error:  # noqa: BLE001  a tokenizer's error is no reason to lose the others' tokens
                execution.outcome = failures.of_request(error)

    def _choose(self, ready: Ready) -> list[int | None]:
        rows, texts = zip(*((one.sampling, one.tokens) for one in ready.generations), strict=True)
        try:
            return choose(ready.logits, rows, texts)
        except Exception:
            for generation in ready.generations:
                self.decoder.undo(generation)
            raise

    def _add(self, execution: Execution, token: int | None, control: Control) -> None:
        answer: Answer = execution.state
        if token is None:
            execution.outcome = Failed("internal_error", "the model's output is not a number")
            return
        if token in self.end_tokens:
            self._finish(execution, control, "", "stop")
            return
        answer.generation.tokens.append(token)
        delta = answer.stream.push(token)
        if answer.stream.stopped:
            self._finish(execution, control, delta, "stop")
        elif answer.stream.count >= answer.max_new_tokens:
            self._finish(execution, control, delta, "length")
        else:
            control.progress(execution, answer.stream.count, answer.max_new_tokens, delta)

    def _finish(self, execution: Execution, control: Control, delta: str, reason: str) -> None:
        answer: Answer = execution.state
        delta += answer.stream.end()
        control.progress(execution, answer.stream.count, answer.max_new_tokens, delta)
        execution.outcome = Completed(answer.result(reason), usage=answer.usage())

    def _room(self, prompt_tokens: int) -> int:
        """Tokens that the answer to such a prompt may have."""
        limit, what = self.context_length, "this model's context"
        if self.decoder.capacity is not None and self.decoder.capacity < limit:
            limit, what = self.decoder.capacity, "this model's key-value cache (kv_cache_mib)"
        if prompt_tokens >= limit:
            raise InvalidInput(f"the prompt has {prompt_tokens} tokens; {what} holds {limit}, answer included", "input")
        return limit - prompt_tokens

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
