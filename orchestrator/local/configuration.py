"""What the person at the terminal asked for: the environment, and below it a `.env` file, read once and checked.

Called by `stack`; knows no process and writes nothing.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from orchestrator.local import devices
from orchestrator.local.errors import StartError

PROJECT = Path(__file__).resolve().parents[2]
LONGEST_PATH = 800  # bytes; PostgreSQL cuts a path at 1024 and adds its own file names to ours


@dataclass(frozen=True)
class Configuration:
    """`environment` is what every process of Baton gets to see, before the addresses of embedded servers are added."""

    data_dir: Path
    host: str
    port: int
    workers: int
    environment: Mapping[str, str]

    @property
    def database_is_external(self) -> bool:
        return bool(self.environment.get("DATABASE_URL"))

    @property
    def broker_is_external(self) -> bool:
        return bool(self.environment.get("CELERY_BROKER_URL"))


def read(environ: Mapping[str, str], dotenv: Path = PROJECT / ".env") -> Configuration:
    """Read the settings that the start itself needs.

    Raises:
        StartError: a value makes no sense; the message names it.
    """
    from_file = {name: value for name, value in dotenv_values(dotenv).items() if value is not None}
    environment = {**from_file, **environ}
    return Configuration(
        data_dir=_data_dir(environment.get("DATA_DIR") or ".data"),
        host=environment.get("HOST") or "127.0.0.1",
        port=_number(environment, "PORT", default=8002, least=0, most=65535),
        workers=_number(environment, "WORKERS", default=_devices(environment), least=0, most=64),
        environment=environment,
    )


def _devices(environment: Mapping[str, str]) -> int:
    """Workers where nobody says how many: one for each device that DEVICES names."""
    return len(devices.chosen(environment)) if environment.get("DEVICES") else 1


def _number(environment: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise StartError(f"{name}={text!r} is not a number from {least} to {most}")
    return int(text)


def _data_dir(text: str) -> Path:
    path = Path(os.path.abspath(PROJECT / Path(text).expanduser()))
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise StartError(f"DATA_DIR is longer than {LONGEST_PATH} bytes; choose a shorter path")
    if not str(path).isprintable():
        raise StartError(f"DATA_DIR={str(path)!r} contains a character that cannot be printed; choose another path")
    return path
