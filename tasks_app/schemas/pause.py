"""The body of a pause."""

from __future__ import annotations

from datetime import timedelta

from tasks_app.schemas.strict import Moment, Strict, Text

YEAR = timedelta(days=365)


class PauseRequest(Strict):
    reason = Text(0, 500, default="", help_text="Shown to everybody whose task waits for it.")
    until = Moment(YEAR, default=None, allow_null=True, help_text="It goes on by itself then; null: not by itself.")


PAUSE_REQUEST = PauseRequest()
