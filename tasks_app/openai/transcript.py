"""What of an answer has been sent: always a beginning of it, whatever attempts there are and whatever pieces get lost.

Pure. A piece that was missed is made up for by a later one or by the whole text at the end. A second attempt starts
anew: it is sent from where the first one broke off if it says the same, and otherwise the answer cannot go on.
"""

from __future__ import annotations


class Changed(Exception):
    """What was sent is no longer the beginning of the answer."""


class Transcript:
    def __init__(self) -> None:
        self.sent = ""

    def hear(self, offset: int, piece: str) -> str:
        """What of `piece` is to be sent; it begins `offset` characters into the answer. Raises Changed."""
        known = len(self.sent) - offset
        if known < 0:
            return ""
        if not self.sent.startswith(piece[:known], offset):
            raise Changed
        self.sent += piece[known:]
        return piece[known:]

    def end(self, whole: str) -> str:
        """What is left of the answer. White space around it may have been sent. Raises Changed."""
        for said in (self.sent, self.sent.strip()):
            if whole.startswith(said):
                return whole[len(said) :]
        raise Changed
