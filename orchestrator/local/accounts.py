"""Which Unix account PostgreSQL runs as: it refuses root, so root lends it an account that exists on the machine.

Called by `places` and `postgres`. Never makes an account and never changes the mode of a directory it did not make.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from orchestrator.local.errors import StartError

LENT_ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The user and group ids of a process."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.getuid()

    def can_enter(self, path: Path) -> bool:
        """Whether it may reach `path`; the parts that do not exist yet are taken to be enterable."""
        return all(self._may_pass(part) for part in (path, *path.parents) if part.exists())

    def _may_pass(self, directory: Path) -> bool:
        status = directory.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        if status.st_gid == self.gid:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)


def for_postgres() -> Account:
    """Our own account, or for root the first of `LENT_ACCOUNTS` that exists.

    Raises:
        StartError: we are root and there is none of them.
    """
    if os.getuid() != 0:
        return Account(os.getuid(), os.getgid())
    for name in LENT_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StartError(
        "PostgreSQL does not run as root, and neither the user postgres nor nobody exists here. "
        "Run Baton as an ordinary user, or set DATABASE_URL."
    )
