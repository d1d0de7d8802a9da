"""Idempotency keys: a request that is sent again makes nothing again. Called by `services` and `batches` inside the
transaction of what is made, so that a crash leaves both or neither, and by the scheduler to remove what is old.

Of requests that race with one key, the unique index lets one in; the others wait for its commit and get what it made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from tasks_app.sql import returning
from tenants_app.identity import Identity

MAX_KEY = 255  # characters
KEPT_HOURS = 24
EXPIRED_BATCH = 1_000  # rows of one statement
EXPIRED_BATCHES = 10  # statements of one clean-up: 166 keys a second, if there is one each minute


class KeyReused(Exception):
    """The key names another request."""


@dataclass(frozen=True, slots=True)
class Key:
    """A client's name for a request, within an organization and route."""

    organization_id: UUID
    route: str
    name: str
    body_hash: bytes


def key_for(identity: Identity, route: str, name: str, body: Any) -> Key:
    """`body` is the parsed one: white space and the order of names make no other request of it."""
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
    return Key(identity.organization.pk, route, name, digest)


FIND = f"""
SELECT made, body_hash FROM tasks_app_idempotencykey
 WHERE organization_id = %s AND route = %s AND key = %s AND created_at > now() - interval '{KEPT_HOURS} hours'
"""

# A row that is too old and not yet removed is taken over.
TAKE = f"""
INSERT INTO tasks_app_idempotencykey AS k (organization_id, route, key, body_hash, made, created_at)
VALUES (%s, %s, %s, %s, %s, now())
    ON CONFLICT (organization_id, route, key)
    DO UPDATE SET body_hash = excluded.body_hash, made = excluded.made, created_at = excluded.created_at
        WHERE k.created_at <= now() - interval '{KEPT_HOURS} hours'
RETURNING made
"""

EXPIRE = f"""
DELETE FROM tasks_app_idempotencykey
 WHERE id IN (SELECT id FROM tasks_app_idempotencykey
               WHERE created_at <= now() - interval '{KEPT_HOURS} hours' ORDER BY created_at LIMIT %s)
"""


def find(key: Key) -> UUID | None:
    """What was made under this key. Raises KeyReused if by another body."""
    rows = returning(FIND, [key.organization_id, key.route, key.name])
    if not rows:
        return None
    if bytes(rows[0].body_hash) != key.body_hash:
        raise KeyReused
    made: UUID = rows[0].made
    return made


def take(key: Key, made: UUID) -> UUID:
    """`made` if the key was free, else what somebody made under it first. Waits for whoever is about to take it."""
    if returning(TAKE, [key.organization_id, key.route, key.name, key.body_hash, made]):
        return made
    return find(key) or take(key, made)  # it may have been removed for its age this very moment


def remove_expired() -> int:
    removed = 0
    for _ in range(EXPIRED_BATCHES):
        with connection.cursor() as cursor:
            cursor.execute(EXPIRE, [EXPIRED_BATCH])
            removed += cursor.rowcount
            if cursor.rowcount < EXPIRED_BATCH:
                break
    return removed
