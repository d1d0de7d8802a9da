"""The pieces of a streamed answer as these clients read them: a maker for each route, which knows only a task's row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from tasks_app.models import Task
from tasks_app.openai.ids import CHAT, COMPLETION, shown
from tasks_app.openai.render import finish_reason, seconds, usage


@dataclass(frozen=True, slots=True)
class Chunks(ABC):
    """`task` as it was submitted. `with_usage`: every piece says what was used: nothing yet, and at the end all."""

    task: Task
    with_usage: bool

    @abstractmethod
    def first(self) -> dict[str, Any] | None:
        """Before the first text."""

    @abstractmethod
    def text(self, text: str) -> dict[str, Any]: ...

    @abstractmethod
    def last(self, ended: Task) -> dict[str, Any]:
        """Tells why it ended, after the last text."""

    def used(self, ended: Task) -> dict[str, Any]:
        return {**self._chunk([]), "usage": usage(ended)}

    @abstractmethod
    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]: ...

    def _named(self, prefix: str, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        chunk = {
            "id": shown(prefix, self.task.pk),
            "object": kind,
            "created": seconds(self.task.created_at),
            "model": self.task.model,
            "choices": choices,
        }
        return chunk | ({"usage": None} if self.with_usage else {})


class ChatChunks(Chunks):
    def first(self) -> dict[str, Any] | None:
        return self._delta({"role": "assistant", "content": "", "refusal": None})

    def text(self, text: str) -> dict[str, Any]:
        return self._delta({"content": text})

    def last(self, ended: Task) -> dict[str, Any]:
        return self._delta({}, finish_reason(ended))

    def _delta(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}])

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._named(CHAT, "chat.completion.chunk", choices)


class CompletionChunks(Chunks):
    def first(self) -> dict[str, Any] | None:
        return None

    def text(self, text: str) -> dict[str, Any]:
        return self._choice(text)

    def last(self, ended: Task) -> dict[str, Any]:
        return self._choice("", finish_reason(ended))

    def _choice(self, text: str, reason: str | None = None) -> dict[str, Any]:
        return self._chunk([{"index": 0, "text": text, "finish_reason": reason, "logprobs": None}])

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._named(COMPLETION, "text_completion", choices)
