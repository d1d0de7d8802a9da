"""A throw-away RabbitMQ node for tests, on ports and files of its own: it may be killed, frozen and started again.

The system's node is not touched: another name, cookie, port mapper (epmd), configuration and data directory.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.local.program import Program, kill_group, spawn

# Debian's commands in the PATH change to an account of their own; these are the ones behind them.
SCRIPTS = (Path("/usr/lib/rabbitmq/bin"), Path("/usr/local/lib/rabbitmq/sbin"), Path("/opt/rabbitmq/sbin"))
USER, PASSWORD = "baton", "s3cret-p4ssword"
START_TIME = 60.0  # seconds; on a busy machine
HELLO = b"AMQP\x00\x00\x09\x01"
CONFIGURATION = """
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 1MB
{more}
"""


def scripts() -> Path | None:
    return next((folder for folder in SCRIPTS if (folder / "rabbitmq-server").exists()), None)


needs_rabbitmq = pytest.mark.skipif(
    scripts() is None, reason="RabbitMQ is not installed: apt-get install rabbitmq-server (its service may be off)"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RabbitMQ:
    """`more` are lines of rabbitmq.conf. Start and stop it on the main thread: it dies with the one that started it."""

    more: str = ""
    port: int = field(default_factory=free_port)
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="baton-rabbitmq-")))
    _epmd: subprocess.Popen[bytes] | None = None
    _node: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        folder = scripts()
        assert folder is not None, "RabbitMQ is not installed"
        self._scripts = folder
        values = {"port": self.port, "user": USER, "password": PASSWORD, "more": self.more}
        (self.directory / "rabbitmq.conf").write_text(CONFIGURATION.format(**values))
        (self.directory / "enabled_plugins").write_text("[].\n")
        (self.directory / "nothing").touch()
        self._env = os.environ | self._settings()

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}//"

    @property
    def pid(self) -> int:
        assert self._node is not None
        return self._node.pid

    def start(self) -> RabbitMQ:
        if self._epmd is None:
            epmd = shutil.which("epmd")
            assert epmd is not None, "Erlang's epmd is not in the PATH"
            self._epmd = self._spawn("epmd", epmd)
        self._node = self._spawn("rabbitmq", str(self._scripts / "rabbitmq-server"))
        deadline = time.monotonic() + START_TIME
        while not self.answers():
            if self._node.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"RabbitMQ did not start:\n{self.log()}")
            time.sleep(0.05)
        return self

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(HELLO)
                return bool(connection.recv(8))
        except OSError:
            return False

    def kill(self) -> None:
        assert self._node is not None
        kill_group(self._node)
        self._node.wait(10)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def ctl(self, *command: str) -> str:
        """`rabbitmqctl`, as the node's administrator."""
        done = subprocess.run(
            [self._scripts / "rabbitmqctl", "--quiet", *command],
            env=self._env, cwd=self.directory, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def raise_alarm(self) -> None:
        """Whoever publishes is blocked from now on."""
        self.ctl("set_vm_memory_high_watermark", "0.00001")

    def clear_alarm(self) -> None:
        self.ctl("set_vm_memory_high_watermark", "0.6")

    def log(self) -> str:
        return (self.directory / "rabbitmq.log").read_text(errors="replace")

    def stop(self) -> None:
        """Node, port mapper and files are gone."""
        for process in (self._node, self._epmd):
            if process is not None:
                kill_group(process)
                process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _spawn(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as log:
            return spawn(Program(name, command, self._env, self.directory), log)

    def _settings(self) -> dict[str, str]:
        folder = str(self.directory)
        return {
            "HOME": folder,  # with a cookie of its own
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"baton-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/nothing",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/generated",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +A 8 -kernel inet_dist_use_interface {127,0,0,1}",
            "detached": "1",  # rabbitmq-server becomes the node instead of watching over it
        }
