"""The catalogue file: what it may say, what it says wrong, and how the rows follow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers_app import catalogue
from workers_app.catalogue import CatalogueError
from workers_app.models import Model, TaskType

CHAT = '[[model]]\nname = "chat"\ntask_type = "llm"\nsource = "org/chat"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[model]]\n", "name is missing"),
        ('[[model]]\nname = "x"\ntask_type = "video"\n', "task_type must be one of llm"),
        ('[[model]]\nname = "x"\ntask_type = "llm"\n', "source is missing"),
        (CHAT + "colour = 1\n", "unknown field colour"),
        (CHAT + 'dtype = "int3"\n', "dtype must be one of"),
        (CHAT.replace("org/chat", "./nowhere"), "there is no folder"),
        (CHAT + "default = true\n" + CHAT.replace('"chat"', '"b"') + "default = true\n", "two models with default"),
        ("[[model", "Expected"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, text, message):
    with pytest.raises(CatalogueError, match=message):
        catalogue.read(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CatalogueError, match="no such file"):
        catalogue.read(tmp_path / "models.toml")


def test_a_folder_is_relative_to_the_file(tmp_path):
    (tmp_path / "weights").mkdir()
    [entry] = catalogue.read(write(tmp_path, CHAT.replace("org/chat", "./weights")))
    assert entry["source"] == str(tmp_path / "weights")


def test_the_hub_catalogue_can_be_read():
    entries = catalogue.read(Path(__file__).resolve().parents[2] / "models.hub.toml")
    assert {entry["task_type"] for entry in entries} == set(TaskType.values)


@pytest.mark.django_db
def test_every_type_has_a_simulated_model_unless_it_is_switched_off(tmp_path, settings):
    path = write(tmp_path, CHAT)
    catalogue.sync(path)
    assert Model.objects.filter(name="simulated", enabled=True).count() == 4
    settings.SIMULATED_MODELS = False
    assert catalogue.sync(path).disabled == 4


@pytest.mark.django_db
def test_what_left_the_file_is_disabled_and_what_changed_in_it_follows(tmp_path):
    catalogue.sync(write(tmp_path, CHAT + "default = true\nmemory_mib = 5\n"))
    catalogue.sync(write(tmp_path, CHAT))
    row = Model.objects.get(name="chat")
    assert (row.memory_mib, row.is_default, row.enabled) == (0, False, True)
    catalogue.sync(write(tmp_path, CHAT.replace("chat", "other")))
    assert not Model.objects.get(name="chat").enabled


@pytest.mark.django_db
def test_a_row_that_an_operator_added_is_left_alone_and_stays_the_default(tmp_path):
    mine = Model.objects.create(task_type="llm", name="mine", source="org/mine", is_default=True)
    catalogue.sync(write(tmp_path, CHAT + "default = true\n"))
    mine.refresh_from_db()
    assert mine.is_default
    assert not Model.objects.get(name="chat").is_default
