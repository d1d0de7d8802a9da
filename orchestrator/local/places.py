"""Where one Baton keeps its files, and the lock that keeps a second one away from them.

Called by `stack`. DATA_DIR holds secret_key, log/, run/{lock,children.json}, pg18/ and valkey/; sockets are elsewhere,
in a short directory.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from orchestrator.local.accounts import Account
from orchestrator.local.errors import StartError

# A socket's path may have 107 bytes on Linux and 103 on macOS; ours adds 45 to the temp directory. PostgreSQL splits
# its list of socket directories at commas and spaces, so anything unusual is avoided too.
USABLE_TEMP_DIRECTORY = re.compile(r"/[A-Za-z0-9/_.-]{1,54}")


@dataclass(frozen=True)
class Places:
    """The directories of one Baton; `postgres_sockets` belongs to PostgreSQL's account, the rest to us."""

    data_dir: Path
    logs: Path
    run: Path
    postgres_sockets: Path
    broker_sockets: Path


def locate(data_dir: Path) -> Places:
    sockets = _socket_directory(data_dir)
    return Places(data_dir, data_dir / "log", data_dir / "run", sockets / "pg", sockets / "broker")


def prepare(data_dir: Path, account: Account) -> Places:
    """Make the directories.

    Raises:
        StartError: DATA_DIR cannot be written, or somebody else owns the directory for the sockets.
    """
    places = locate(data_dir)
    sockets = places.postgres_sockets.parent
    # PostgreSQL's account has to pass through, and nobody else has to see what is inside.
    passable = 0o700 if account.is_ours else 0o711
    try:
        if not data_dir.exists():
            data_dir.mkdir(parents=True)
            data_dir.chmod(passable)  # whatever the umask
        places.logs.mkdir(exist_ok=True, mode=0o700)
        places.run.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartError(f"DATA_DIR={data_dir} cannot be used: {error.strerror}") from error
    _make_private(sockets, passable, Account(os.getuid(), os.getgid()))
    _make_private(places.postgres_sockets, 0o700, account)
    _make_private(places.broker_sockets, 0o700, Account(os.getuid(), os.getgid()))
    return places


def lock(places: Places) -> TextIO:
    """Take DATA_DIR for this process; the caller keeps the returned file open for as long as it runs.

    Raises:
        StartError: another Baton uses it; the message names its process and address.
    """
    file = (places.run / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with file:
            file.seek(0)
            raise StartError(f"Baton already runs on {places.data_dir} ({file.read().strip()})") from error
    except OSError as error:
        file.close()
        raise StartError(f"{places.data_dir} cannot be locked ({error.strerror}); choose a local disk") from error
    return file


def sign(lock_file: TextIO, url: str) -> None:
    """Write who holds the lock, for the message that a second start prints."""
    lock_file.truncate(0)
    lock_file.write(f"pid {os.getpid()}, {url}")
    lock_file.flush()


def remove_sockets(places: Places) -> None:
    """After everything has stopped; what may be left in there is of no use to anybody."""
    shutil.rmtree(places.postgres_sockets.parent, ignore_errors=True)


def secret_key(places: Places) -> str:
    """The key that signs sessions and links, made at the first start."""
    path = places.data_dir / "secret_key"
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
        unfinished.replace(path)
    return path.read_text(encoding="ascii")


def _socket_directory(data_dir: Path) -> Path:
    temporary = os.path.realpath(tempfile.gettempdir())
    base = Path(temporary if USABLE_TEMP_DIRECTORY.fullmatch(temporary) else "/tmp")
    digest = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:10]
    return base / f"baton-{os.getuid()}-{digest}"


def _make_private(directory: Path, mode: int, owner: Account) -> None:
    """The temp directory is everybody's: what stands there already is used only if it is ours."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.getuid(), owner.uid):
            raise StartError(f"{directory} exists and belongs to somebody else; remove it or set TMPDIR") from None
    if not owner.is_ours:
        os.chown(directory, owner.uid, owner.gid)
    directory.chmod(mode)
