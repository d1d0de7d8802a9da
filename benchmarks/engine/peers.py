"""What others do with the same requests: `generate` one by one, `generate` on padded batches, continuous batching."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from benchmarks.engine.made import Request

PATIENCE = 60.0  # seconds for one step


@dataclass(frozen=True, slots=True)
class Run:
    """`answers`: the tokens or the text of each request, in their order; `firsts`: seconds to the first token."""

    seconds: float
    processor_seconds: float  # of this process; other work on the machine disturbs it less
    answers: list[Any]
    firsts: list[float]


class Clock:
    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._wall

    def run(self, answers: list[Any], firsts: list[float]) -> Run:
        return Run(self.seconds(), time.process_time() - self._processor, answers, firsts)


class First:
    """A stopping criterion that never stops: it notes when the first token of a call is there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at = 0.0  # seconds

    def __call__(self, tokens: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self.at = self.at or self._clock.seconds()
        return torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)


class Transformers:
    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer

    def in_batches(self, requests: Sequence[Request], size: int) -> Run:
        """Padded to the longest prompt, run to the longest answer; of each answer what was asked for is kept."""
        clock = Clock()
        answers, firsts = [], []
        for start in range(0, len(requests), size):
            batch = requests[start : start + size]
            made, first = self._generate(batch, clock)
            answers += made
            firsts += [first] * len(batch)
        return clock.run(answers, firsts)

    def _generate(self, batch: Sequence[Request], clock: Clock) -> tuple[list[list[int]], float]:
        prompts = [self._tokenizer(request.prompt)["input_ids"] for request in batch]
        longest, first = max(map(len, prompts)), First(clock)
        tokens = torch.zeros(len(batch), longest, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, prompt in enumerate(prompts):
            tokens[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        made = self._model.generate(
            input_ids=tokens.to(self._model.device),
            attention_mask=mask.to(self._model.device),
            do_sample=False,
            max_new_tokens=max(request.new_tokens for request in batch),
            stopping_criteria=[first],
        )
        answers = [
            row[longest : longest + request.new_tokens].tolist() for row, request in zip(made, batch, strict=True)
        ]
        return answers, first.at

    def continuously(self, requests: Sequence[Request]) -> Run:
        """Its defaults would take gigabytes; these sizes hold all requests at once."""
        manager = self._model.init_continuous_batching(
            generation_config=GenerationConfig(do_sample=False, max_new_tokens=128, eos_token_id=-1, pad_token_id=0),
            continuous_batching_config=ContinuousBatchingConfig(
                num_blocks=256, page_size=32, max_batch_tokens=512, use_cuda_graph=False, use_async_batching=False
            ),
        )
        manager.start()
        try:
            manager.add_request([1, 2, 3], max_new_tokens=2)  # warm
            self._wait_for_one(manager)
            return self._measure(manager, requests)
        finally:
            manager.stop(block=True)

    def _measure(self, manager: Any, requests: Sequence[Request]) -> Run:
        clock = Clock()
        ids = [
            manager.add_request(
                self._tokenizer(request.prompt)["input_ids"], max_new_tokens=request.new_tokens, streaming=True
            )
            for request in requests
        ]
        firsts: dict[Any, float] = {}
        answers: dict[Any, list[int]] = {}
        while len(answers) < len(requests):
            output = manager.get_result(timeout=PATIENCE)
            assert output is not None, "its loop has died"
            firsts.setdefault(output.request_id, clock.seconds())
            if output.is_finished():
                answers[output.request_id] = list(output.generated_tokens)
        return clock.run([answers[id_] for id_ in ids], [firsts[id_] for id_ in ids])

    def _wait_for_one(self, manager: Any) -> None:
        while not manager.get_result(timeout=PATIENCE).is_finished():
            pass
