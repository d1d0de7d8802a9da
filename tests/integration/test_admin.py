"""Django's admin: everything about a task can be read, and nothing that would break an invariant can be changed."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from tasks_app.models import Pause, Task
from tasks_app.outcomes import Completed, Failed
from tenants_app import keys
from tenants_app.models import ApiKey, Organization
from tests.factories import end, make_organization, make_task, make_user, make_worker, start
from workers_app.models import Model, Worker

pytestmark = pytest.mark.django_db
LIST = "/admin/tasks_app/task/"


@pytest.fixture
def organization() -> Organization:
    return make_organization("acme")


@pytest.fixture
def admin(organization: Organization) -> Client:
    client = Client()
    client.force_login(make_user(organization, staff=True, name="root"))
    return client


def page_of(task: Task) -> str:
    return reverse("admin:tasks_app_task_change", args=[task.pk])


def act(client: Client, url: str, action: str, *rows: object) -> str:
    data = {"action": action, "_selected_action": [str(row) for row in rows]}
    return client.post(url, data, follow=True).content.decode()


def test_it_needs_a_login():
    assert Client().get(LIST).status_code == 302


def test_the_list_is_filtered_and_searched_by_exact_id(admin):
    failed, waiting = make_task("failed"), make_task()
    shown = admin.get(LIST, {"status__exact": "failed", "created": "1h"}).content.decode()
    assert str(failed.pk) in shown
    assert str(waiting.pk) not in shown
    assert str(waiting.pk) in admin.get(LIST, {"q": str(waiting.pk)}).content.decode()


def test_a_list_of_many_tasks_takes_as_many_queries_as_one_of_few(admin, django_assert_max_num_queries):
    for _ in range(20):
        make_task("completed")
    with django_assert_max_num_queries(14):
        admin.get(LIST)


def test_a_task_shows_its_result_its_attempts_and_its_events(admin):
    claimed = start(make_task(), "gpu-7")
    end(claimed, Completed({"text": "the <b>answer</b>", "finish_reason": "stop"}))
    page = admin.get(page_of(Task.objects.get(pk=claimed.task_id))).content.decode()
    assert "the &lt;b&gt;answer&lt;/b&gt;" in page
    assert "task.completed" in page
    assert "gpu-7" in page
    assert str(claimed.attempt_id) in page


def test_a_failed_task_shows_its_traceback(admin):
    task = make_task("failed", outcome=Failed("invalid_input", "no", "input.prompt", detail="Traceback: here"))
    assert "Traceback: here" in admin.get(page_of(task)).content.decode()


def test_a_task_can_be_neither_added_changed_nor_deleted(admin):
    task = make_task()
    assert admin.get(LIST + "add/").status_code == 403
    assert admin.post(page_of(task), {"status": "completed"}).status_code == 403
    assert admin.post(f"{LIST}{task.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admin.get(LIST).content.decode()


def test_cancel_tells_the_outcome_of_every_task(admin):
    waiting, running, done = make_task(), make_task("running"), make_task("completed")
    said = act(admin, LIST, "cancel_selected", waiting.pk, running.pk, done.pk)
    assert f"{waiting.pk}: cancelled." in said
    assert f"{running.pk}: asked to stop" in said
    assert f"{done.pk}: had ended already" in said
    assert sorted(Task.objects.values_list("status", flat=True)) == ["cancelled", "cancelling", "completed"]


def test_retry_tells_the_outcome_of_every_task(admin):
    failed, running = make_task("failed"), make_task("running")
    said = act(admin, LIST, "retry_selected", failed.pk, running.pk)
    again = Task.objects.get(retry_of=failed.pk)
    assert f"{failed.pk}: submitted again as {again.pk}" in said
    assert f"{running.pk}: is running; only a task that ended" in said


def test_all_failures_of_the_same_cause_are_submitted_again_once(admin):
    selected, same = make_task("failed"), make_task("failed")
    other = make_task("failed", outcome=Failed("poisoned", "bad"))
    said = act(admin, LIST, "retry_same_cause", selected.pk)
    assert "With invalid_input: 2 submitted again, 0 had been before" in said
    assert set(Task.objects.filter(status="pending").values_list("retry_of", flat=True)) == {selected.pk, same.pk}
    assert "0 submitted again, 2 had been before" in act(admin, LIST, "retry_same_cause", selected.pk)
    assert not Task.objects.filter(retry_of=other.pk).exists()


def test_the_buttons_of_a_task_need_a_post_and_a_permission(admin, organization):
    task = make_task()
    url = reverse("admin:task-admin-cancel", args=[task.pk])
    assert admin.get(url).status_code == 405
    viewer = Client()
    user = make_user(organization)
    user.is_staff = True
    user.save()
    viewer.force_login(user)
    assert viewer.post(url).status_code == 403
    assert admin.post(url).status_code == 302
    task.refresh_from_db()
    assert task.status == "cancelled"


@pytest.mark.parametrize(
    ("action", "state"),
    [("pause", "paused"), ("drain", "draining"), ("retire", "retired"), ("resume", "active")],
)
def test_a_worker_is_told_what_the_operator_wants_and_it_is_logged(admin, action, state):
    worker = make_worker(state="paused" if action == "resume" else "active")
    assert state in act(admin, "/admin/workers_app/worker/", action, worker.pk)
    assert Worker.objects.get(pk=worker.pk).state == state
    assert LogEntry.objects.filter(object_id=worker.pk).exists()


def test_only_the_state_of_a_worker_can_be_edited_and_its_tasks_know_of_it(admin):
    worker = make_worker(slots=4)
    task = make_task("dispatched", worker=worker.name)
    body = {"state": "paused", "state_reason": "a new fan", "slots": 99}
    admin.post(f"/admin/workers_app/worker/{worker.pk}/change/", body)
    worker.refresh_from_db()
    task.refresh_from_db()
    assert (worker.state, worker.state_reason, worker.slots) == ("paused", "a new fan", 4)
    assert worker.state_by
    assert task.status == "pending"


def test_a_model_from_the_file_says_who_wins(admin):
    row = Model.objects.create(task_type="llm", name="m", source="o/m", from_file=True)
    assert "wins at the next start" in admin.get(f"/admin/workers_app/model/{row.pk}/change/").content.decode()


def test_a_key_is_shown_once_and_works(admin, organization):
    url = "/admin/tenants_app/apikey/"
    made = admin.post(url + "add/", {"organization": organization.pk, "name": "ci", "scopes": ["tasks:read"]})
    assert "no-store" in made["Cache-Control"]
    found = re.search(r"baton_[a-z0-9]{8}_[\w-]{43}", made.content.decode())
    assert found
    row = ApiKey.objects.get(name="ci")
    assert keys.find(found[0]) == row
    assert row.scopes == ["tasks:read"]
    assert found[0] not in admin.get(f"{url}{row.pk}/change/").content.decode()
    rotated = re.search(r"baton_[a-z0-9]{8}_[\w-]{43}", act(admin, url, "rotate", row.pk))
    assert rotated
    assert (keys.find(found[0]), keys.find(rotated[0])) == (None, row)
    act(admin, url, "revoke", row.pk)
    assert keys.find(rotated[0]) is None
    assert "Select one key that is not revoked" in act(admin, url, "rotate", row.pk)


@pytest.mark.parametrize(
    "page",
    [
        "tenants_app/organization",
        "tenants_app/apikey",
        "tenants_app/login",
        "workers_app/model",
        "django_celery_results/taskresult",
    ],
)
def test_every_list_opens(admin, page):
    make_task("completed")
    assert admin.get(f"/admin/{page}/").status_code == 200


def test_a_pause_is_made_and_ended_as_over_the_api(admin):
    page = "/admin/tasks_app/pause/"
    admin.post(f"{page}add/", {"kind": "queue", "name": "llm", "reason": "new driver"})
    pause = Pause.objects.get()
    assert (pause.by, pause.reason) == ("root", "new driver")
    act(admin, page, "delete_selected", pause.pk)
    admin.post(f"{page}{pause.pk}/delete/", {"post": "yes"})
    assert not Pause.objects.exists()


def test_what_is_not_there_cannot_be_paused(admin):
    answer = admin.post("/admin/tasks_app/pause/add/", {"kind": "queue", "name": "video", "reason": ""})
    assert "There is no queue video." in answer.content.decode()
    assert not Pause.objects.exists()


def test_what_nobody_could_run_is_not_submitted_again_and_the_admin_says_why(admin):
    failed = make_task("failed")
    Model.objects.create(task_type="llm", name="simulated", runner="simulated")
    make_worker(kinds=["tts"])
    assert "No worker runs tasks of type llm" in act(admin, LIST, "retry_selected", failed.pk)
    assert Task.objects.count() == 1
