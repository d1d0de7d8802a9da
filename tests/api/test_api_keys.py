"""/api-keys/: making, listing, rotating and revoking keys, and what a key lets do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tasks_app.models import Task
from tenants_app import keys
from tenants_app.key_cache import key_cache
from tenants_app.models import ApiKey, Membership, Organization, Role
from tests.api.conftest import client_with, error_of
from tests.factories import make_key, make_task, make_user
from workers_app.models import Model

pytestmark = pytest.mark.django_db
LLM = {"task_type": "llm", "input": {"prompt": "Hello"}}


@pytest.fixture
def ada(organization: Organization) -> User:
    user = make_user(organization, name="ada")
    Membership.objects.filter(user=user).update(role=Role.ADMIN)
    return user


@pytest.fixture
def admin(organization: Organization, ada: User) -> Client:
    return client_with(make_key(organization, ada))


def make(client: Client, **asked: Any) -> dict[str, Any]:
    response = client.post("/api-keys/", {"name": "ci", **asked}, content_type="application/json")
    assert response.status_code == 201, response.json()
    assert response["Cache-Control"] == "no-store"
    body: dict[str, Any] = response.json()
    return body


def post(client: Client, path: str, body: Any = None) -> Any:
    return client.post(path, body or {}, content_type="application/json")


def test_a_new_key_works_and_its_secret_is_shown_once(admin: Client, catalogue: None) -> None:
    made = make(admin)
    assert made["scopes"] == ["tasks:read", "tasks:write"]
    assert (made["organization"], made["user"], made["revoked_at"]) == ("acme", "ada", None)
    task = post(client_with(made["secret"]), "/tasks/", LLM)
    assert task.status_code == 201
    assert str(Task.objects.get().api_key_id) == made["key_id"]
    listed = admin.get("/api-keys/").json()["results"]
    assert made["key_id"] in [each["key_id"] for each in listed]
    assert made["secret"].rpartition("_")[2] not in str(listed)
    assert listed[0]["last_used_at"]


@pytest.mark.parametrize(
    ("scopes", "may_read", "may_write", "may_administer"),
    [
        (["tasks:read"], True, False, False),
        (["tasks:write"], False, True, False),
        (["admin"], False, False, True),
        (["tasks:read", "tasks:write"], True, True, False),
    ],
)
def test_a_key_does_what_its_scopes_say(
    admin: Client, catalogue: None, scopes: list[str], may_read: bool, may_write: bool, may_administer: bool
) -> None:
    client = client_with(make(admin, scopes=scopes)["secret"])
    assert client.get("/tasks/").status_code == (200 if may_read else 403)
    assert post(client, "/tasks/", LLM).status_code == (201 if may_write else 403)
    assert client.get("/api-keys/").status_code == (200 if may_administer else 403)
    assert client.get("/webhooks/secret").status_code == (200 if may_administer else 403)


def test_a_refusal_names_the_role_and_the_scope_that_are_needed(admin: Client) -> None:
    client = client_with(make(admin, scopes=["tasks:read"])["secret"])
    message = error_of(post(client, "/tasks/", LLM), 403, "permission_denied")["message"]
    assert message == "This needs the role operator and a key with the scope tasks:write; this key has tasks:read."


@pytest.mark.parametrize(
    ("role", "may_write", "may_administer"),
    [("viewer", False, False), ("operator", True, False), ("admin", True, True)],
)
def test_a_key_never_does_more_than_the_role_of_its_owner(
    organization: Organization, ada: User, catalogue: None, role: str, may_write: bool, may_administer: bool
) -> None:
    Membership.objects.filter(user=ada).update(role=role)
    client = client_with(make_key(organization, ada))
    assert client.get("/tasks/").status_code == 200
    assert post(client, "/tasks/", LLM).status_code == (201 if may_write else 403)
    assert client.get("/api-keys/").status_code == (200 if may_administer else 403)
    error = error_of(post(client, "/queues/llm/pause"), 403, "permission_denied")
    assert error["message"] == f"This needs the role staff; yours in acme is {role}."


def test_a_key_grants_no_more_than_its_maker_has(admin: Client, organization: Organization, catalogue: None) -> None:
    soon = timezone.now() + timedelta(days=1)
    narrow = {"scopes": ["admin", "tasks:read"], "allowed_models": ["simulated"], "requests_per_minute": 60,
              "expires_at": soon.isoformat()}  # fmt: skip
    maker = client_with(make(admin, **narrow)["secret"])
    for beyond in (
        {"scopes": ["operate"]},
        {"scopes": ["tasks:write"]},
        {"expires_at": (soon + timedelta(seconds=1)).isoformat()},
        {"requests_per_minute": 61},
    ):
        error_of(post(maker, "/api-keys/", {"name": "more", **beyond}), 403, "permission_denied")
    child = make(maker)
    assert child["scopes"] == ["tasks:read"]
    assert child["allowed_models"] == ["simulated"]
    assert child["requests_per_minute"] == 60
    assert child["expires_at"]


def test_rotating_teaches_nobody_a_key_that_grants_more_than_they_have(
    admin: Client, organization: Organization
) -> None:
    strong = ApiKey.objects.get(prefix=make_key(organization, make_user(organization, staff=True)).split("_")[1])
    error_of(post(admin, f"/api-keys/{strong.pk}/rotate"), 403, "permission_denied")
    weak = client_with(make(admin, scopes=["admin"])["secret"])
    error_of(post(weak, f"/api-keys/{make(admin)['key_id']}/rotate"), 403, "permission_denied")


def test_a_key_with_allowed_models_runs_those_only(admin: Client, catalogue: None, organization: Organization) -> None:
    Model.objects.create(task_type="llm", name="big", runner="simulated")
    client = client_with(make(admin, allowed_models=["simulated"])["secret"])
    assert post(client, "/tasks/", LLM).status_code == 201
    error = error_of(post(client, "/tasks/", {**LLM, "model": "big"}), 403, "permission_denied")
    assert error["message"] == "This key may not use the model big, only simulated."
    batch = {"tasks": [LLM, {**LLM, "model": "big"}]}
    error_of(post(client, "/tasks/batch/", batch), 403, "permission_denied")
    other = make_task("failed", model="big")
    Task.objects.filter(pk=other.pk).update(organization=organization)
    error_of(post(client, f"/tasks/{other.pk}/retry"), 403, "permission_denied")
    assert {model["name"] for model in client.get("/models/").json()["results"]} == {"simulated"}


def test_a_misspelt_model_is_refused(admin: Client, catalogue: None) -> None:
    asked = {"name": "ci", "allowed_models": ["smulated"]}
    assert error_of(post(admin, "/api-keys/", asked), 400, "invalid_input")["param"] == "allowed_models"


def test_a_revoked_key_is_out_and_stays_in_the_list_of_revoked_ones(admin: Client) -> None:
    made = make(admin)
    client = client_with(made["secret"])
    assert client.get("/tasks/").status_code == 200
    assert admin.delete(f"/api-keys/{made['key_id']}").status_code == 204
    error_of(client.get("/tasks/"), 401, "unauthenticated")
    assert admin.delete(f"/api-keys/{made['key_id']}").status_code == 204
    error_of(post(admin, f"/api-keys/{made['key_id']}/rotate"), 409, "key_revoked")
    assert made["key_id"] not in [each["key_id"] for each in admin.get("/api-keys/").json()["results"]]
    assert made["key_id"] in [each["key_id"] for each in admin.get("/api-keys/?revoked=true").json()["results"]]


def test_after_a_rotation_the_old_secret_is_good_for_the_time_that_was_named(admin: Client) -> None:
    made = make(admin)
    path = f"/api-keys/{made['key_id']}/rotate"
    second = post(admin, path, {"grace_seconds": 3600}).json()
    assert second["previous_until"]
    for secret in (made["secret"], second["secret"]):
        assert client_with(secret).get("/tasks/").status_code == 200
    ApiKey.objects.filter(pk=made["key_id"]).update(previous_until=timezone.now())
    key_cache.clear()  # which another process's clock would have done
    error_of(client_with(made["secret"]).get("/tasks/"), 401, "unauthenticated")
    third = post(admin, path).json()
    assert third["previous_until"] is None
    error_of(client_with(second["secret"]).get("/tasks/"), 401, "unauthenticated")
    assert client_with(third["secret"]).get("/tasks/").status_code == 200


def test_of_two_rotations_at_the_same_moment_one_is_told_that_it_lost(organization: Organization) -> None:
    row, _ = keys.create(organization, "ci")
    stale = ApiKey.objects.get(pk=row.pk)
    assert keys.rotate(row)
    assert keys.rotate(stale) is None


def test_an_expired_key_is_out_to_the_second(admin: Client) -> None:
    made = make(admin, expires_at=(timezone.now() + timedelta(hours=1)).isoformat())
    assert client_with(made["secret"]).get("/tasks/").status_code == 200
    ApiKey.objects.filter(pk=made["key_id"]).update(expires_at=timezone.now())
    key_cache.clear()
    error_of(client_with(made["secret"]).get("/tasks/"), 401, "unauthenticated")


def leave(user: User) -> None:
    Membership.objects.filter(user=user).delete()


def go_inactive(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.parametrize("goes", [leave, go_inactive, User.delete])
def test_the_key_of_someone_who_is_gone_is_out(organization: Organization, ada: User, goes: Any) -> None:
    client = client_with(make_key(organization, ada))
    assert client.get("/tasks/").status_code == 200
    goes(ada)
    key_cache.clear()
    error_of(client.get("/tasks/"), 401, "unauthenticated")
    assert ApiKey.objects.filter(name="test").exists()


def test_keys_of_another_organization_are_not_there(admin: Client, stranger: Client) -> None:
    made = make(admin)
    assert made["key_id"] not in str(stranger.get("/api-keys/").json())
    error_of(stranger.delete(f"/api-keys/{made['key_id']}"), 404, "not_found")
    error_of(post(stranger, f"/api-keys/{made['key_id']}/rotate"), 404, "not_found")
    assert client_with(made["secret"]).get("/tasks/").status_code == 200


def test_a_person_in_the_browser_makes_keys_too(organization: Organization, ada: User) -> None:
    browser = Client()
    browser.force_login(ada)
    assert make(browser)["user"] == "ada"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "x", "role": "admin"}, "role"),
    ],
)
def test_a_wrong_wish_is_refused_by_name(admin: Client, asked: dict[str, Any], param: str) -> None:
    assert error_of(post(admin, "/api-keys/", asked), 400, "invalid_input")["param"] == param
