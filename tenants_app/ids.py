"""UUIDv7 ids: made here because PostgreSQL before 18 and Python before 3.14 have none; their order is their age."""

from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> UUID:
    return _uuid7()
