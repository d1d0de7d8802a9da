"""What can go wrong during a check. Every trouble says what to do about it."""

from __future__ import annotations


class Trouble(Exception):
    """`str()` is the reason, `advice` the next step."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.advice = advice


class Unreachable(Trouble):
    """Nothing answers at the address, or something that is not Baton."""


class Refused(Trouble):
    """The server answered with an error; `code` is the one of its envelope."""

    def __init__(self, status: int, code: str, reason: str, advice: str) -> None:
        super().__init__(reason, advice)
        self.status, self.code = status, code
