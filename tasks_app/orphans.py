"""Removing files that no row names: a process that died between storing a file and committing its row left them.

The scheduler sweeps one of the storage's 256 folders a minute, so that no sweep takes long; `manage.py collect_orphans`
sweeps them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.core.files.storage import default_storage
from django.utils import timezone

from tasks_app import artifacts
from tasks_app.models import Artifact

FOLDERS = [f"{number:02x}" for number in range(256)]  # as `artifacts` spreads them
SAFE_AGE = timedelta(hours=1)  # a younger file may get its row yet: its attempt has stored it and is about to finish


def sweep(folder: str, older_than: timedelta = SAFE_AGE) -> int:
    """How many files of this folder were removed."""
    stored = dict(_stored_before(folder, older_than))
    known = {str(pk) for pk in Artifact.objects.filter(pk__in=stored.keys()).values_list("pk", flat=True)}
    orphans = [name for artifact_id, name in stored.items() if str(artifact_id) not in known]
    artifacts.discard(orphans)
    return len(orphans)


def _stored_before(folder: str, age: timedelta) -> Iterator[tuple[UUID, str]]:
    """(artifact id, file) of what lies there for longer."""
    newest = timezone.now() - age
    for owner in _listed(folder)[0]:
        for name in _listed(f"{folder}/{owner}")[1]:
            path = f"{folder}/{owner}/{name}"
            artifact_id = _id_of(name)
            if artifact_id is not None and default_storage.get_modified_time(path) <= newest:
                yield artifact_id, path


def _listed(path: str) -> tuple[list[str], list[str]]:
    try:
        return default_storage.listdir(path)
    except FileNotFoundError:  # nothing was ever stored there, or it was removed just now
        return [], []


def _id_of(name: str) -> UUID | None:
    """None for a file that is none of ours."""
    try:
        return UUID(name.partition(".")[0])
    except ValueError:
        return None
