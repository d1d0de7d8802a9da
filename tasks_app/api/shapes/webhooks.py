"""Shapes of answers about webhooks, and of what a receiver gets."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable
from tasks_app.models import DeliveryState


class Delivery(s.Serializer[Any]):
    delivery_id = s.UUIDField(help_text="The `webhook-id` of every try.")
    task_id = s.UUIDField()
    url = s.CharField()
    state = s.ChoiceField(choices=DeliveryState.values)
    tries = s.IntegerField()
    last_status = nullable(s.IntegerField, help_text="What the receiver answered last, over HTTP.")
    last_error = nullable(s.CharField)
    next_try_at = nullable(s.DateTimeField)
    created_at = s.DateTimeField()
    ended_at = nullable(s.DateTimeField)


class DeliveryPage(s.Serializer[Any]):
    results = Delivery(many=True)
    next = nullable(s.CharField)
    previous = nullable(s.CharField)


class Secret(s.Serializer[Any]):
    secret = s.CharField(help_text="`whsec_…`")
    created_at = s.DateTimeField()
    expires_at = nullable(s.DateTimeField, help_text="Null: the current one.")


class SecretList(s.Serializer[Any]):
    results = Secret(many=True)
