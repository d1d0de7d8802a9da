"""The body of a pause."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from tasks_app.schemas.strict import Moment, Strict, Text

YEAR = timedelta(days=365)


class Coming(Moment):
    def to_internal_value(self, value: Any) -> Any:
        moment = super().to_internal_value(value)
        if moment <= timezone.now():
            raise serializers.ValidationError("must be in the future")
        return moment


class PauseRequest(Strict):
    reason = Text(0, 500, default="", help_text="Shown to everybody whose task waits for it.")
    until = Coming(YEAR, default=None, allow_null=True, help_text="It goes on by itself then; null: not by itself.")


PAUSE_REQUEST = PauseRequest()
