"""Shapes of answers about keys, members and tokens."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from tasks_app.api.shapes.base import nullable
from tenants_app.roles import STAFF, Role, Scope

SCOPES = [str(scope) for scope in Scope]


class ApiKey(s.Serializer[Any]):
    key_id = s.UUIDField()
    organization = s.CharField()
    user = nullable(s.CharField, help_text="Whose it is; null: the organization's own.")
    prefix = s.CharField(help_text="The second part of the key, which is no secret.")
    name = s.CharField()
    scopes = s.ListField(child=s.ChoiceField(choices=SCOPES))
    allowed_models = s.ListField(child=s.CharField(), help_text="Empty: all.")
    requests_per_minute = nullable(s.IntegerField)
    created_at = s.DateTimeField()
    last_used_at = nullable(s.DateTimeField, help_text="To the minute.")
    expires_at = nullable(s.DateTimeField)
    revoked_at = nullable(s.DateTimeField)
    previous_until = nullable(s.DateTimeField, help_text="Until when the secret before the last rotation is good.")


class ApiKeyList(s.Serializer[Any]):
    results = ApiKey(many=True)


class NewApiKey(ApiKey):
    secret = s.CharField(help_text="`baton_…`: the key itself, shown this one time.")


class OrganizationLimits(s.Serializer[Any]):
    requests_per_minute = nullable(s.IntegerField)
    concurrency_limit = nullable(s.IntegerField, help_text="Tasks on workers at once; more of them wait.")
    queued_limit = nullable(s.IntegerField, help_text="Tasks that wait at once.")
    gpu_seconds_per_day = nullable(s.IntegerField)
    tokens_per_day = nullable(s.IntegerField)


class You(s.Serializer[Any]):
    username = s.CharField()
    role = s.ChoiceField(choices=[*Role.values, STAFF])
    scopes = s.ListField(child=s.ChoiceField(choices=SCOPES))


class Organization(s.Serializer[Any]):
    slug = s.CharField()
    name = s.CharField()
    created_at = s.DateTimeField()
    limits = OrganizationLimits(help_text="Null: no limit.")
    you = You()


class Member(s.Serializer[Any]):
    username = s.CharField()
    role = s.ChoiceField(choices=Role.values)
    is_active = s.BooleanField()
    created_at = s.DateTimeField()


class MemberList(s.Serializer[Any]):
    results = Member(many=True)


class Tokens(s.Serializer[Any]):
    access = s.CharField(help_text="For `Authorization: Bearer …`.")
    refresh = s.CharField(help_text="For /auth/token/refresh/, once.")
    access_seconds = s.IntegerField(help_text="Its life.")
    refresh_seconds = s.IntegerField(help_text="Its life.")
    token_type = s.ChoiceField(choices=["Bearer"])
