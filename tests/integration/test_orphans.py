"""Files in the artifact storage that no row names are removed, and no others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command

from tasks_app import artifacts, orphans
from tasks_app.outcomes import Completed, StoredArtifact
from tenants_app.ids import uuid7
from tests.factories import end, make_task, start

pytestmark = pytest.mark.django_db
NOW = timedelta(0)


@pytest.fixture(autouse=True)
def storage_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def stored(task_id: UUID) -> StoredArtifact:
    return artifacts.store_bytes(b"content", "image/png", task_id)


def folder_of(artifact: StoredArtifact) -> str:
    return artifact.file.partition("/")[0]


def test_a_file_that_a_row_names_stays():
    task = make_task()
    kept = stored(task.id)
    end(start(task), Completed({}, (kept,)))
    assert orphans.sweep(folder_of(kept), NOW) == 0
    assert default_storage.exists(kept.file)


def test_a_file_whose_process_died_before_the_commit_goes():
    lost = stored(uuid7())
    assert orphans.sweep(folder_of(lost), NOW) == 1
    assert not default_storage.exists(lost.file)


def test_a_young_file_may_get_its_row_yet():
    young = stored(uuid7())
    assert orphans.sweep(folder_of(young)) == 0
    assert default_storage.exists(young.file)


def test_a_file_that_is_none_of_ours_is_left_alone():
    name = default_storage.save("ab/somebody/notes.txt", ContentFile(b"mine"))
    assert orphans.sweep("ab", NOW) == 0
    assert default_storage.exists(name)


def test_a_folder_that_was_never_used_is_empty():
    assert orphans.sweep("zz", NOW) == 0


def test_the_command_sweeps_all_folders(capsys: pytest.CaptureFixture[str]):
    lost = [stored(uuid7()) for _ in range(3)]
    call_command("collect_orphans", "--older-than", "0")
    assert not any(default_storage.exists(each.file) for each in lost)
    assert "removed 3 files" in capsys.readouterr().out
