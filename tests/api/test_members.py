"""/organization/ and its members: who belongs to it, as what, and what that lets them do on every surface."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tasks_app.models import Task
from tenants_app.identity import Identity
from tenants_app.models import Membership, Organization, Role
from tests.api.conftest import error_of
from tests.factories import make_organization, make_task, make_user

pytestmark = pytest.mark.django_db
MEMBERS = "/organization/members/"


def browser_of(organization: Organization, role: str, name: str = "") -> Client:
    user = make_user(organization, name=name)
    Membership.objects.filter(user=user).update(role=role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin(organization: Organization) -> Client:
    return browser_of(organization, Role.ADMIN, "ada")


def send(client: Client, verb: str, path: str, body: Any = None) -> Any:
    return getattr(client, verb)(path, body or {}, content_type="application/json")


def test_the_organization_says_its_limits_and_what_you_may_do(organization: Organization) -> None:
    Organization.objects.update(queued_limit=10)
    told = browser_of(organization, Role.VIEWER, "vi").get("/organization/").json()
    assert told["slug"] == "acme"
    assert told["limits"]["queued_limit"] == 10
    assert told["limits"]["tokens_per_day"] is None
    assert told["you"] == {"username": "vi", "role": "viewer", "scopes": ["tasks:read"]}


def test_an_admin_adds_changes_and_removes_members(admin: Client, organization: Organization) -> None:
    make_user(make_organization("elsewhere"), name="jo")
    assert send(admin, "post", MEMBERS, {"username": "jo"}).json()["role"] == "operator"
    assert send(admin, "patch", MEMBERS + "jo", {"role": "viewer"}).json()["role"] == "viewer"
    assert {each["username"]: each["role"] for each in admin.get(MEMBERS).json()["results"]} == {
        "ada": "admin",
        "jo": "viewer",
    }
    assert admin.delete(MEMBERS + "jo").status_code == 204
    error_of(admin.delete(MEMBERS + "jo"), 404, "not_found")
    assert User.objects.filter(username="jo").exists()


def test_nobody_is_added_who_does_not_exist_or_twice(admin: Client) -> None:
    error_of(send(admin, "post", MEMBERS, {"username": "nobody"}), 404, "not_found")
    error_of(send(admin, "post", MEMBERS, {"username": "ada"}), 409, "member_conflict")


def test_the_last_admin_stays(admin: Client, organization: Organization) -> None:
    error_of(admin.delete(MEMBERS + "ada"), 409, "member_conflict")
    error_of(send(admin, "patch", MEMBERS + "ada", {"role": "viewer"}), 409, "member_conflict")
    browser_of(organization, Role.ADMIN, "bo")
    assert send(admin, "patch", MEMBERS + "ada", {"role": "viewer"}).status_code == 200
    error_of(admin.get(MEMBERS), 403, "permission_denied")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_members_are_an_admins_matter(organization: Organization, role: str) -> None:
    client = browser_of(organization, role)
    message = error_of(client.get(MEMBERS), 403, "permission_denied")["message"]
    assert message == f"This needs the role admin; yours in acme is {role}."
    error_of(send(client, "post", "/webhooks/secret"), 403, "permission_denied")


def test_a_viewer_reads_everything_and_changes_nothing_over_the_api(
    organization: Organization, catalogue: None
) -> None:
    task = make_task(identity=Identity(organization, None, "x"))
    viewer = browser_of(organization, Role.VIEWER)
    for path in ("/tasks/", f"/tasks/{task.pk}", f"/tasks/{task.pk}/explain", "/models/", "/workers/", "/queues/"):
        assert viewer.get(path).status_code == 200
    body = {"task_type": "llm", "input": {"prompt": "Hello"}}
    for verb, path in (
        ("post", "/tasks/"),
        ("post", "/tasks/batch/"),
        ("post", "/tasks/bulk/cancel"),
        ("post", "/tasks/bulk/retry"),
        ("patch", f"/tasks/{task.pk}/cancel"),
        ("post", f"/tasks/{task.pk}/retry"),
        ("delete", f"/tasks/{task.pk}"),
        ("post", "/artifacts/"),
    ):
        message = error_of(send(viewer, verb, path, body), 403, "permission_denied")["message"]
        assert message == "This needs the role operator; yours in acme is viewer."
    assert Task.objects.get().status == "pending"


def test_a_viewer_changes_nothing_on_the_pages_either(organization: Organization, catalogue: None) -> None:
    task = make_task(identity=Identity(organization, None, "x"))
    viewer, operator = browser_of(organization, Role.VIEWER), browser_of(organization, Role.OPERATOR)
    cancel = reverse("task-cancel", args=[task.pk])
    assert '<button class="danger">Cancel' not in viewer.get(reverse("task-page", args=[task.pk])).content.decode()
    assert '<button class="danger">Cancel' in operator.get(reverse("task-page", args=[task.pk])).content.decode()
    assert "needs the role operator" in viewer.get(reverse("submit", args=["llm"])).content.decode()
    refused = viewer.post(cancel)
    assert refused.status_code == 403
    assert "This needs the role operator" in refused.content.decode()
    form = {"model": "simulated", "input.prompt": "Hello"}
    assert viewer.post(reverse("submit", args=["llm"]), form).status_code == 403
    assert viewer.post(reverse("worker-state", args=["w"]), {"state": "paused"}).status_code == 403
    assert operator.post(cancel).status_code == 302
    assert operator.post(reverse("worker-state", args=["w"]), {"state": "paused"}).status_code == 403


@pytest.mark.parametrize("role", Role.values)
def test_no_role_opens_the_admin_which_is_for_staff(organization: Organization, role: str) -> None:
    client = browser_of(organization, role)
    task = make_task(identity=Identity(organization, None, "x"))
    assert client.get("/admin/").status_code == 302
    assert client.post(reverse("admin:task-admin-cancel", args=[task.pk])).status_code == 302
    assert Task.objects.get().status == "pending"
