"""The catalogue file: what it may say, what it says wrong, and how the rows follow it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from tests.factories import make_worker
from workers_app import catalogue
from workers_app.catalogue import CatalogueError
from workers_app.learning import learn
from workers_app.models import Model, TaskType
from workers_app.services import Vitals, heartbeat

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
        (CHAT + "max_per_worker = 0\n", "max_per_worker must be a whole number, 1 or more"),
        (CHAT + "max_per_worker = true\n", "max_per_worker must be a whole number, 1 or more"),
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


ADAPTED = """
[[model]]
name = "pirate"
task_type = "llm"
base = "chat"
adapter = "./pirate"
"""


def test_an_adapted_model_has_all_that_it_does_not_say_from_its_base(tmp_path):
    (tmp_path / "pirate").mkdir()
    limits = 'revision = "abc"\nmax_per_worker = 5\n[model.limits]\nmax_new_tokens = 9\n'
    _, entry = catalogue.read(write(tmp_path, CHAT + limits + ADAPTED))
    assert (entry["source"], entry["revision"], entry["limits"]) == ("org/chat", "abc", {"max_new_tokens": 9})
    assert (entry["base"], entry["adapter"]) == ("chat", str(tmp_path / "pirate"))
    assert entry["max_per_worker"] == 5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("./pirate", "./nowhere"), "adapter: source: there is no folder"),
        (('base = "chat"\n', ""), "base and adapter belong together"),
        (('base = "chat"', 'base = "other"'), "this file has no llm model other"),
        (('base = "chat"', 'base = "chat"\ndtype = "float16"'), "dtype is the base's"),
    ],
)
def test_a_mistake_in_an_adapted_model_is_named(tmp_path, changed, message):
    (tmp_path / "pirate").mkdir()
    with pytest.raises(CatalogueError, match=message):
        catalogue.read(write(tmp_path, CHAT + ADAPTED.replace(*changed)))


def test_speech_has_no_adapters(tmp_path):
    text = (CHAT + ADAPTED.replace("./pirate", "org/pirate")).replace('"llm"', '"tts"')
    with pytest.raises(CatalogueError, match="adapters are for llm and stable_diffusion"):
        catalogue.read(write(tmp_path, text))


@pytest.mark.django_db
def test_what_workers_measured_is_kept_until_another_model_has_the_name(tmp_path):
    catalogue.sync(write(tmp_path, CHAT))
    learn([{"task_type": "llm", "name": "chat", "memory_mib": 70}])
    catalogue.sync(write(tmp_path, CHAT + "default = true\n"))
    assert Model.objects.get(name="chat").measured_mib == 70
    catalogue.sync(write(tmp_path, CHAT + 'revision = "abc"\n'))
    assert Model.objects.get(name="chat").measured_mib == 0


@pytest.mark.django_db
def test_the_least_that_any_worker_needed_is_learnt_unless_an_operator_says_otherwise(tmp_path):
    catalogue.sync(write(tmp_path, CHAT))
    for mib in (70, 90, 60, 80):
        learn([{"task_type": "llm", "name": "chat", "memory_mib": mib}, {"name": "simulated", "memory_mib": 5}])
    learn([{"task_type": "tts", "name": "chat", "memory_mib": 1}, {"task_type": "llm", "name": "x", "memory_mib": 1}])
    row = Model.objects.get(name="chat")
    assert (row.measured_mib, row.needs_mib) == (60, 60)
    catalogue.sync(write(tmp_path, CHAT + "memory_mib = 500\n"))
    assert Model.objects.get(name="chat").needs_mib == 500


@pytest.mark.django_db
def test_a_heartbeat_teaches_what_models_take_and_an_adapted_one_takes_its_base_too(tmp_path):
    (tmp_path / "pirate").mkdir()
    catalogue.sync(write(tmp_path, CHAT + ADAPTED))
    worker = make_worker()
    warm = [
        {"task_type": "llm", "name": "chat", "memory_mib": 100},
        {"task_type": "llm", "name": "pirate", "memory_mib": 3},
    ]
    for _ in range(2):  # the adapted one is known once its base is
        heartbeat(worker.name, worker.incarnation, Vitals("ready", 0, stopping=False, warm_models=warm))
    assert dict(Model.objects.exclude(name="simulated").values_list("name", "measured_mib")) == {
        "chat": 100,
        "pirate": 103,
    }


def test_an_operator_cannot_name_an_adapter_without_its_base():
    with pytest.raises(ValidationError, match="belong together"):
        Model(task_type="llm", name="pirate", source="org/chat", adapter="org/pirate").clean()
