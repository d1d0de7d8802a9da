"""The embedded PostgreSQL: making its cluster, its command line, and how to tell that it answers.

Called by `stack` and `ephemeral`. Only root's start puts the cluster anywhere but in DATA_DIR (see `locate`).
"""

import hashlib
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.local import binaries
from orchestrator.local.accounts import Account
from orchestrator.local.errors import StartError
from orchestrator.local.program import Program, run

MAJOR = "18"
NAME = "baton"  # of the superuser and of the database
PORT = 5432  # never opened: it is part of the socket's file name
INITDB = (
    *("-U", NAME, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--no-instructions"),
    # The provider that is built in collates alike on every system, and needs no locale to be installed.
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
DURABLE = {"max_connections": "100"}
VOLATILE = {
    "max_connections": "200",
    "fsync": "off",
    "full_page_writes": "off",
}  # a kill loses nothing, a power cut all
SMALL_SHARED_MEMORY = 128 * 1024 * 1024  # bytes; containers often get 64 MiB, too few for parallel queries


@dataclass(frozen=True)
class Cluster:
    """A cluster on disk, and who runs it from which programs."""

    data: Path
    sockets: Path
    programs: Path
    account: Account


def locate(data_dir: Path, sockets: Path, account: Account) -> Cluster:
    """In DATA_DIR, or in root's shared home when PostgreSQL's account cannot enter DATA_DIR (it lies in /root, say).

    Raises:
        StartError: there is a cluster in DATA_DIR that the account cannot enter, or no program.
    """
    inside = data_dir / f"pg{MAJOR}"
    if account.can_enter(data_dir):
        return Cluster(inside, sockets, binaries.postgres(account), account)
    if inside.exists():
        raise StartError(f"PostgreSQL's account cannot enter {data_dir}, where its data is; let everybody pass through")
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:10]
    outside = binaries.make_roots_home() / f"data-{digest}" / f"pg{MAJOR}"
    return Cluster(outside, sockets, binaries.postgres(account), account)


def create(cluster: Cluster, *extra: str) -> None:
    """Make the cluster and its database, unless it is there. An interrupted attempt leaves nothing that looks like one.

    Raises:
        StartError: PostgreSQL refused; the message holds what it said.
    """
    if cluster.data.exists():
        _refuse_other_major(cluster)
        return
    for abandoned in cluster.data.parent.glob(f"{cluster.data.name}.new-*"):
        shutil.rmtree(abandoned, ignore_errors=True)  # its initdb may be dying just now
    unfinished = cluster.data.with_suffix(f".new-{os.getpid()}")
    unfinished.parent.mkdir(exist_ok=True, mode=0o755)
    unfinished.mkdir(mode=0o700)
    if not cluster.account.is_ours:
        os.chown(unfinished, cluster.account.uid, cluster.account.gid)
    _run(cluster, ("initdb", "-D", str(unfinished), *INITDB, *extra))
    _run(cluster, ("postgres", "--single", "-D", str(unfinished), "postgres"), f"CREATE DATABASE {NAME}\n")
    unfinished.rename(cluster.data)


def program(cluster: Cluster, settings: Mapping[str, str]) -> Program:
    """The server as a direct child; it listens on its socket only."""
    options = {
        "port": str(PORT),
        "listen_addresses": "",
        "unix_socket_directories": str(cluster.sockets),
        "unix_socket_permissions": "0700",
        "shared_buffers": "128MB",
        "dynamic_shared_memory_type": "mmap" if _shared_memory_is_small() else "posix",
        "wal_level": "minimal",  # there is no replica
        "max_wal_senders": "0",
        "max_logical_replication_workers": "0",
        "log_line_prefix": "%t ",
        "log_min_messages": "warning",
        "log_checkpoints": "off",
        **settings,
    }
    flags = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
    return Program(
        name="postgres",
        command=(str(cluster.programs / "bin" / "postgres"), "-D", str(cluster.data), *flags),
        environment=_environment(),
        directory=Path("/"),
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        death_signal=signal.SIGINT,
        umask=0o077,
        account=cluster.account,
        before_start=lambda: remove_stale_pid_file(cluster),
    )


def is_ready(cluster: Cluster, pid: int) -> bool:
    """Whether the server with this process id takes connections, by the file that pg_ctl reads too."""
    lines = _pid_file(cluster)
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def address(sockets: Path) -> Mapping[str, str]:
    """The setting that names it, in the one form that Django's URL parsers and libpq read alike."""
    return {"DATABASE_URL": f"postgresql://{NAME}@/{NAME}?host={sockets}"}


def remove_stale_pid_file(cluster: Cluster) -> None:
    """PostgreSQL does not start while its pid file names a live process, even one that has only got the same number.

    Raises:
        StartError: the process really is a server on this cluster.
    """
    lines = _pid_file(cluster)
    if lines and lines[0].strip().isdigit() and _serves(int(lines[0]), cluster):
        raise StartError(f"another PostgreSQL (pid {lines[0].strip()}) uses {cluster.data}; stop it first")
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)


def _serves(pid: int, cluster: Cluster) -> bool:
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return bool(command) and Path(command[0]).name == "postgres" and str(cluster.data) in command


def _pid_file(cluster: Cluster) -> list[str]:
    try:
        return (cluster.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _refuse_other_major(cluster: Cluster) -> None:
    version = cluster.data / "PG_VERSION"
    found = version.read_text(encoding="ascii").strip() if version.exists() else "none"
    if found != MAJOR:
        raise StartError(f"{cluster.data} holds data of PostgreSQL {found}, and this is {MAJOR}; move it away")


def _run(cluster: Cluster, command: tuple[str, ...], text: str = "") -> None:
    program = Program(
        name=command[0],
        command=(str(cluster.programs / "bin" / command[0]), *command[1:]),
        environment=_environment(),
        directory=Path("/"),
        umask=0o077,
        account=cluster.account,
    )
    done = run(program, text)
    if done.returncode != 0:
        raise StartError(f"PostgreSQL's {program.name} failed:\n{done.stdout}")


def _environment() -> Mapping[str, str]:
    """Ours without the variables that would turn libpq or the server elsewhere (PGPORT, PGDATA, PGOPTIONS, …)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"TZ": "UTC"}


def _shared_memory_is_small() -> bool:
    try:
        status = os.statvfs("/dev/shm")
    except OSError:
        return False
    return status.f_blocks * status.f_frsize < SMALL_SHARED_MEMORY
