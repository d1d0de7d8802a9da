"""Turns tokens into text as they come. Never shows half a character or the beginning of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"  # what a decoder puts where the bytes of a character are not complete


class TextStream:
    """`push` tokens until `stopped` or the end, then `end`. What they return, joined, is `text`."""

    def __init__(self, decode: Callable[[list[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = [string for string in stop if string]
        self._tokens: list[int] = []
        self._context = 0  # tokens from here on are decoded again: a word's text depends on the word before it
        self._decoded = 0  # tokens before this are in the text
        self._withheld = ""  # text that may turn out to be the beginning of a stop string
        self.text = ""
        self.stopped = False  # a stop string came

    @property
    def count(self) -> int:
        return len(self._tokens)

    def push(self, token: int) -> str:
        """The text that may be shown now, perhaps none."""
        self._tokens.append(token)
        return self._show(self._decode_new(whole=False))

    def end(self) -> str:
        """What was withheld; half a character at the very end is dropped."""
        if self.stopped:
            return ""
        shown = self._show(self._decode_new(whole=True))
        if self.stopped:
            return shown
        shown += self._withheld
        self.text += self._withheld
        self._withheld = ""
        return shown

    def _decode_new(self, whole: bool) -> str:
        known = self._decode(self._tokens[self._context : self._decoded])
        text = self._decode(self._tokens[self._context :])
        if whole:
            text = text.rstrip(UNFINISHED)
        elif text.endswith(UNFINISHED):
            return ""
        self._context, self._decoded = self._decoded, len(self._tokens)
        return text[len(known) :]

    def _show(self, new: str) -> str:
        pending = self._withheld + new
        found = [at for string in self._stop if (at := pending.find(string)) >= 0]
        if found:
            self.stopped = True
            shown, self._withheld = pending[: min(found)], ""
        else:
            keep = max((_overlap(pending, string) for string in self._stop), default=0)
            shown, self._withheld = pending[: len(pending) - keep], pending[len(pending) - keep :]
        self.text += shown
        return shown


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are a beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)
