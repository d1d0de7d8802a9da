"""DELETE /tasks/{id}."""

from __future__ import annotations

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from tasks_app import artifacts
from tasks_app.models import Artifact, Task, UsageRecord
from tasks_app.outcomes import Completed
from tasks_app.states import ACTIVE, FINAL
from tenants_app.identity import Identity
from tests.api.conftest import error_of
from tests.factories import end, make_task, start

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_task_that_has_ended_is_gone_and_its_cost_stays(api: Client, identity: Identity, status: str) -> None:
    task = make_task(status, identity)
    assert api.delete(f"/tasks/{task.pk}").status_code == 204
    error_of(api.get(f"/tasks/{task.pk}"), 404, "not_found")
    assert UsageRecord.objects.get().status == status


def test_its_artifacts_go_with_it(
    api: Client, identity: Identity, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    claimed = start(make_task(identity=identity))
    stored = artifacts.store_bytes(b"x", "image/png", claimed.task_id)
    end(claimed, Completed({}, (stored,)))
    with django_capture_on_commit_callbacks(execute=True):
        assert api.delete(f"/tasks/{claimed.task_id}").status_code == 204
    assert not Artifact.objects.exists()
    assert not default_storage.exists(stored.file)


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_an_active_task_is_only_deleted_by_force(api: Client, identity: Identity, status: str) -> None:
    task = make_task(status, identity)
    error_of(api.delete(f"/tasks/{task.pk}"), 409, "task_active")
    error_of(api.delete(f"/tasks/{task.pk}?force=false"), 409, "task_active")
    assert api.delete(f"/tasks/{task.pk}?force=true").status_code == 204
    assert not Task.objects.exists()


def test_another_organization_cannot_delete(stranger: Client, identity: Identity) -> None:
    task = make_task("completed", identity)
    error_of(stranger.delete(f"/tasks/{task.pk}?force=true"), 404, "not_found")
    assert Task.objects.filter(pk=task.pk).exists()


def test_force_is_true_or_false(api: Client, identity: Identity) -> None:
    task = make_task(identity=identity)
    assert error_of(api.delete(f"/tasks/{task.pk}?force=1"), 400, "invalid_input")["param"] == "force"
