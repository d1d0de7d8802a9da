"""Which models a worker's engine loads before anybody asks."""

from __future__ import annotations

import pytest
from django.db import connection

from gpu_worker import specs
from workers_app.models import Model

pytestmark = pytest.mark.django_db(transaction=True)


def test_they_are_those_of_the_setting_in_its_order(settings):
    for name in ("a", "b", "c"):
        Model.objects.create(task_type="llm", name=name, source="org/x", pinned=name == "b", enabled=name != "c")
    settings.WORKER_PRELOAD = ["b", "not there", "c", "a"]
    wanted = specs.to_load_at_start()
    assert [(spec.name, spec.pinned) for spec in wanted] == [("b", True), ("a", False)]
    assert connection.connection is None


def test_by_default_none_is(settings):
    assert settings.WORKER_PRELOAD == []
    assert specs.to_load_at_start() == []
