"""Several texts that one call of transformers' `generate` makes: each streams, ends and is cancelled by itself.

Called by the runner of image to text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria

from gpu_worker.engine.protocol import Cancelled, Completed, Usage
from gpu_worker.runners.base import Control, Execution
from gpu_worker.runners.text_stream import TextStream


@dataclass(slots=True)
class Saying:
    """What one request has been told so far. `shown` characters have gone out, also by a call that broke off."""

    seed: int
    stream: TextStream
    prompt_tokens: int = 0
    shown: int = 0

    def begin_again(self, decode: Callable[[list[int]], str], prompt_tokens: int) -> None:
        self.stream, self.prompt_tokens = TextStream(decode), prompt_tokens

    def delta(self) -> str:
        """What nobody has seen yet; the same seed says the same again."""
        new = self.stream.text[self.shown :]
        self.shown = max(self.shown, len(self.stream.text))
        return new


@dataclass(slots=True)
class Row:
    """One request of a batch, which may end before the others do."""

    execution: Execution
    saying: Saying
    limit: int
    done: bool = False

    def push(self, token: int, control: Control, end_tokens: frozenset[int]) -> None:
        stream = self.saying.stream
        stream.push(token)
        if token in end_tokens or stream.count >= self.limit:
            self.end(control)
        else:
            control.progress(self.execution, stream.count, self.limit, self.saying.delta())

    def end(self, control: Control) -> None:
        if self.done:
            return
        self.done, stream = True, self.saying.stream
        stream.end()
        control.progress(self.execution, stream.count, self.limit, self.saying.delta())
        usage = Usage(self.saying.prompt_tokens, stream.count)
        self.execution.outcome = Completed({"text": stream.text.strip()}, usage=usage)
        control.ended(self.execution)

    def drop(self, control: Control) -> None:
        self.done, stream = True, self.saying.stream
        stream.end()
        usage = Usage(output_tokens=stream.count)
        self.execution.outcome = Cancelled({"text": stream.text.strip()}, usage)
        control.ended(self.execution)


class Follower(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    """Sees every new token of every row: streams it, and ends the rows that are done or no longer wanted."""

    def __init__(self, rows: Sequence[Row], control: Control, end_tokens: frozenset[int]) -> None:
        self._rows, self._control, self._end_tokens = rows, control, end_tokens

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
            if not row.done and row.execution.cancelled:
                row.drop(self._control)
            elif not row.done:
                row.push(token, self._control, self._end_tokens)
        return torch.tensor([row.done for row in self._rows], device=input_ids.device)
