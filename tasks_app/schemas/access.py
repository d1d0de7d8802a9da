"""The bodies of the calls on keys, members and tokens."""

from __future__ import annotations

from datetime import timedelta

from tasks_app.schemas.pause import Coming
from tasks_app.schemas.strict import Choice, Integer, ListOf, Strict, Text
from tenants_app.roles import Role, Scope

KEY_LIFE = timedelta(days=3650)  # enough to mean "for long", and no time that overflows
MAX_GRACE = 30 * 24 * 3600  # seconds; who needs longer has a second key
MAX_REQUESTS = 1_000_000  # per minute

# A class attribute of the name `scopes` and the like would do as well; these say more.
_SCOPES = ListOf(
    Choice(choices=[str(scope) for scope in Scope]),
    1,
    len(Scope),
    required=False,
    help_text="Left out: tasks:read and tasks:write, as far as you have them.",
)


class KeyRequest(Strict):
    name = Text(1, 100)
    scopes = _SCOPES
    expires_at = Coming(KEY_LIFE, default=None, allow_null=True, help_text="Null: never.")
    allowed_models = ListOf(Text(1, 200), 0, 200, default=list, help_text="Names of models; empty: all.")
    requests_per_minute = Integer(1, MAX_REQUESTS, default=None, allow_null=True, help_text="Null: no limit.")


class RotateRequest(Strict):
    grace_seconds = Integer(0, MAX_GRACE, default=0, help_text="The old secret is good for so long beside the new one.")


class MemberRequest(Strict):
    username = Text(1, 150)
    role = Choice(choices=Role.values, default=Role.OPERATOR)


class RoleRequest(Strict):
    role = Choice(choices=Role.values)


class TokenRequest(Strict):
    username = Text(1, 150)
    password = Text(1, 4096, white_space=True)
    organization = Text(1, 63, default=None, allow_null=True, help_text="Its slug; null: the one you joined first.")


class RefreshRequest(Strict):
    refresh = Text(1, 4096)


KEY_REQUEST, ROTATE_REQUEST = KeyRequest(), RotateRequest()
MEMBER_REQUEST, ROLE_REQUEST = MemberRequest(), RoleRequest()
TOKEN_REQUEST, REFRESH_REQUEST = TokenRequest(), RefreshRequest()
