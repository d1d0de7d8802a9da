"""The model catalogue: reading `models.toml` (or MODELS_FILE) and keeping the rows in step with it.

Rows that an operator added in the admin are never touched; rows that left the file are disabled, not deleted.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from workers_app.models import SIMULATED_RUNNER, Model, TaskType

SIMULATED = "simulated"  # its name
OPTIONAL: dict[str, Any] = {
    "runner": "transformers",
    "source": "",
    "revision": "",
    "dtype": "auto",
    "memory_mib": 0,
    "pinned": False,
    "base": "",
    "adapter": "",
    "keep_alive_seconds": None,
    "limits": {},
    "defaults": {},
    "options": {},
    "description": "",
    "enabled": True,
    "max_per_worker": None,
    "worker_may_come": False,
}  # what an entry that leaves it out means
FIELDS = {"name", "task_type", "default", *OPTIONAL}
LOADED_FROM = ("runner", "source", "revision", "dtype", "options", "adapter")  # what was measured is of these
WEIGHTS = ("runner", "source", "revision", "dtype", "options")  # an adapted model shares them with its base
INHERITED = (*WEIGHTS, "limits", "defaults", "max_per_worker")
ADAPTABLE = (TaskType.LLM, TaskType.STABLE_DIFFUSION)
DTYPES = {"auto", "float32", "float16", "bfloat16"}


class CatalogueError(ValueError):
    """The file says something that cannot be; the message names the file, the entry and the field."""


@dataclass(frozen=True, slots=True)
class Synced:
    kept: int
    disabled: int


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a catalogue file, checked, with folders made absolute."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise CatalogueError(f"{path}: no such file (MODELS_FILE names the catalogue)") from None
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{path}: {error}") from None
    given = document.get("model", [])
    bases = {(entry.get("task_type"), entry.get("name")): entry for entry in given if not entry.get("base")}
    entries = [_checked(path, number, entry, bases) for number, entry in enumerate(given, start=1)]
    _refuse_two_defaults(path, entries)
    return entries


def _checked(
    path: Path, number: int, entry: dict[str, Any], bases: Mapping[tuple[Any, Any], dict[str, Any]]
) -> dict[str, Any]:
    where = f"{path}: model {number} ({entry.get('name', 'without a name')})"
    if unknown := set(entry) - FIELDS:
        raise CatalogueError(f"{where}: unknown field {', '.join(sorted(unknown))}")
    if not entry.get("name"):
        raise CatalogueError(f"{where}: name is missing")
    entry = _adapted(where, path.parent, entry, bases)
    if entry.get("task_type") not in TaskType.values:
        raise CatalogueError(f"{where}: task_type must be one of {', '.join(TaskType.values)}")
    if entry.get("dtype", "auto") not in DTYPES:
        raise CatalogueError(f"{where}: dtype must be one of {', '.join(sorted(DTYPES))}")
    if not _is_count(entry.get("max_per_worker", 1)):
        raise CatalogueError(f"{where}: max_per_worker must be a whole number, 1 or more")
    if entry.get("runner", "transformers") != SIMULATED_RUNNER and not entry.get("source"):
        raise CatalogueError(f"{where}: source is missing (a hub id or a folder)")
    return {**entry, "source": _resolved(where, path.parent, entry.get("source", ""))}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _adapted(
    where: str, folder: Path, entry: dict[str, Any], bases: Mapping[tuple[Any, Any], dict[str, Any]]
) -> dict[str, Any]:
    """An entry with `base` is that model with the adapter's weights, and says only what is different."""
    if bool(entry.get("base")) != bool(entry.get("adapter")):
        raise CatalogueError(f"{where}: base and adapter belong together")
    if not entry.get("base"):
        return entry
    base = bases.get((entry.get("task_type"), entry["base"]))
    if base is None:
        raise CatalogueError(f"{where}: base: this file has no {entry.get('task_type')} model {entry['base']}")
    if entry["task_type"] not in ADAPTABLE:
        raise CatalogueError(f"{where}: adapters are for {' and '.join(ADAPTABLE)}")
    if own := [field for field in WEIGHTS if field in entry]:
        raise CatalogueError(f"{where}: {', '.join(own)} is the base's and cannot be said here")
    inherited = {field: base[field] for field in INHERITED if field in base}
    return {**inherited, **entry, "adapter": _resolved(f"{where}: adapter", folder, entry["adapter"])}


def _resolved(where: str, base: Path, source: str) -> str:
    """A folder (it begins with `.` or `/`) made absolute; anything else is a hub id and stays."""
    if not source.startswith((".", "/", "~")):
        return source
    folder = (base / Path(source).expanduser()).resolve()
    if not folder.is_dir():
        raise CatalogueError(f"{where}: source: there is no folder {folder}")
    return str(folder)


def _refuse_two_defaults(path: Path, entries: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.get("default"):
            if entry["task_type"] in seen:
                raise CatalogueError(f"{path}: {entry['task_type']} has two models with default = true")
            seen.add(entry["task_type"])


@transaction.atomic
def sync(path: Path | None = None) -> Synced:
    """Make the rows say what the file says; called by `manage.py bootstrap` at every start."""
    entries = read(path or Path(settings.MODELS_FILE))
    if settings.SIMULATED_MODELS:
        entries += [_simulated(task_type) for task_type in TaskType.values]
    Model.objects.filter(from_file=True).update(is_default=False)
    kept = {_write(entry).pk for entry in entries}
    gone = Model.objects.filter(from_file=True, enabled=True).exclude(pk__in=kept)
    return Synced(len(kept), gone.update(enabled=False))


def _simulated(task_type: str) -> dict[str, Any]:
    return {
        "name": SIMULATED,
        "task_type": task_type,
        "runner": SIMULATED_RUNNER,
        "description": "No weights: takes the time it is told to take. For trying, testing and loading Baton.",
    }


def _write(entry: dict[str, Any]) -> Model:
    values = {field: entry.get(field, meant) for field, meant in OPTIONAL.items()}
    others = Model.objects.filter(task_type=entry["task_type"], is_default=True).exclude(name=entry["name"])
    values["is_default"] = bool(entry.get("default")) and not others.exists()
    key = {"task_type": entry["task_type"], "name": entry["name"]}
    before = Model.objects.filter(**key).values(*LOADED_FROM).first()
    if before is not None and any(before[field] != values[field] for field in LOADED_FROM):
        values["measured_mib"] = 0  # another model under the same name
    row, _ = Model.objects.update_or_create(**key, defaults={**values, "from_file": True})
    return row
