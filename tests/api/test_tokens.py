"""/auth/token/: signing in for an access token, going on with a refresh token, and being out at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from tenants_app import logins
from tenants_app.models import Login, Membership, Organization, Role
from tests.api.conftest import client_with, error_of
from tests.factories import make_organization, make_task, make_user

pytestmark = pytest.mark.django_db
TOKEN, REFRESH = "/auth/token/", "/auth/token/refresh/"


ADDRESS: list[str] = []  # of this test alone: tries are counted in a Redis that all tests share


@pytest.fixture(autouse=True)
def _an_address_of_its_own() -> None:
    ADDRESS[:] = [str(uuid4())]


@pytest.fixture
def jo(organization: Organization) -> User:
    return make_user(organization, name=f"jo-{uuid4()}")


def send(path: str, **body: Any) -> Any:
    client = Client(enforce_csrf_checks=True, REMOTE_ADDR=ADDRESS[0])
    return client.post(path, body, content_type="application/json")


def sign_in(user: User, **more: Any) -> dict[str, Any]:
    response = send(TOKEN, username=user.username, password="secret", **more)
    assert response.status_code == 200, response.json()
    assert response["Cache-Control"] == "no-store"
    tokens: dict[str, Any] = response.json()
    return tokens


def test_a_token_lets_a_person_work_as_their_role_says(jo: User, catalogue: None) -> None:
    tokens = sign_in(jo)
    assert (tokens["token_type"], tokens["access_seconds"], tokens["refresh_seconds"]) == ("Bearer", 300, 604_800)
    client = client_with(tokens["access"])
    task = client.post("/tasks/", {"task_type": "llm", "input": {"prompt": "x"}}, content_type="application/json")
    assert (task.json()["user"], task.json()["organization"]) == (jo.username, "acme")
    Membership.objects.filter(user=jo).update(role=Role.VIEWER)
    error_of(client.delete(f"/tasks/{task.json()['task_id']}"), 403, "permission_denied")


def test_a_token_of_staff_sees_every_organization(organization: Organization) -> None:
    staff = make_user(organization, staff=True, name=f"staff-{uuid4()}")
    make_task()
    assert len(client_with(sign_in(staff)["access"]).get("/tasks/").json()["results"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"password": "no"}, {"username": "nobody"}, {"organization": "elsewhere"}, {"organization": "not-there"}],
)
def test_what_is_wrong_is_not_told(jo: User, wrong: dict[str, str]) -> None:
    make_organization("elsewhere")
    response = send(TOKEN, **{"username": jo.username, "password": "secret"} | wrong)
    error = error_of(response, 401, "unauthenticated")
    assert error["message"] == "Name, password, organization or token is not right, or good no more."
    assert response["WWW-Authenticate"]
    assert not Login.objects.exists()


def test_who_is_in_two_organizations_chooses_one(jo: User) -> None:
    Membership.objects.create(user=jo, organization=make_organization("second"), role=Role.VIEWER)
    assert client_with(sign_in(jo)["access"]).get("/organization/").json()["slug"] == "acme"
    you = client_with(sign_in(jo, organization="second")["access"]).get("/organization/").json()
    assert (you["slug"], you["you"]["role"]) == ("second", "viewer")


def leave(user: User) -> None:
    Membership.objects.filter(user=user).delete()


def go_inactive(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def change_password(user: User) -> None:
    user.set_password("other")
    user.save()


def be_signed_out(user: User) -> None:
    Login.objects.filter(user=user).delete()


@pytest.mark.parametrize("goes", [leave, go_inactive, change_password, be_signed_out, User.delete])
def test_who_is_out_is_out_with_the_next_request(jo: User, goes: Any) -> None:
    tokens = sign_in(jo)
    client = client_with(tokens["access"])
    assert client.get("/tasks/").status_code == 200
    goes(jo)
    error_of(client.get("/tasks/"), 401, "unauthenticated")
    error_of(send(REFRESH, refresh=tokens["refresh"]), 401, "unauthenticated")


def test_a_refresh_token_is_good_once_and_its_second_use_ends_the_login(jo: User) -> None:
    first = sign_in(jo)
    second = send(REFRESH, refresh=first["refresh"]).json()
    assert client_with(second["access"]).get("/tasks/").status_code == 200
    error_of(send(REFRESH, refresh=first["refresh"]), 401, "unauthenticated")
    error_of(client_with(second["access"]).get("/tasks/"), 401, "unauthenticated")
    error_of(send(REFRESH, refresh=second["refresh"]), 401, "unauthenticated")


def test_one_login_ends_without_the_others(jo: User) -> None:
    here, there = sign_in(jo), sign_in(jo)
    Login.objects.order_by("id").first().delete()  # type: ignore[union-attr]
    error_of(client_with(here["access"]).get("/tasks/"), 401, "unauthenticated")
    assert client_with(there["access"]).get("/tasks/").status_code == 200


def test_neither_token_serves_for_the_other(jo: User) -> None:
    tokens = sign_in(jo)
    error_of(client_with(tokens["refresh"]).get("/tasks/"), 401, "unauthenticated")
    error_of(send(REFRESH, refresh=tokens["access"]), 401, "unauthenticated")


def test_a_token_that_ran_out_or_was_forged_is_refused(jo: User) -> None:
    sign_in(jo)
    login = Login.objects.get()
    old = AccessToken()
    old["login"], old["pwd"] = login.pk.hex, jo.get_session_auth_hash()[:16]
    old.set_exp(lifetime=timedelta(seconds=-1))
    error_of(client_with(str(old)).get("/tasks/"), 401, "unauthenticated")
    for forged in ("a.b.c", "eyJhbGciOiJub25lIn0.eyJsb2dpbiI6IjEifQ.", f"{RefreshToken()}x", ".."):
        error_of(client_with(forged).get("/tasks/"), 401, "unauthenticated")


def test_a_login_that_ran_out_is_refused_and_then_removed(jo: User) -> None:
    tokens = sign_in(jo)
    Login.objects.update(expires_at=timezone.now())
    error_of(client_with(tokens["access"]).get("/tasks/"), 401, "unauthenticated")
    error_of(send(REFRESH, refresh=tokens["refresh"]), 401, "unauthenticated")
    sign_in(jo)
    assert Login.objects.count() == 1


def test_the_oldest_login_ends_when_there_are_too_many(jo: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "KEPT", 2)
    tokens = [logins.sign_in(jo.username, "secret") for _ in range(3)]
    alive = [logins.of_token(each.access) is not None for each in tokens if each]
    assert alive == [False, True, True]


def test_guessing_passwords_is_slowed(jo: User) -> None:
    answers = [send(TOKEN, username=jo.username, password="guess").status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]
    refused = send(TOKEN, username=jo.username, password="secret")
    error_of(refused, 429, "rate_limited")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert sign_in(make_user(Organization.objects.get(), name=f"other-{uuid4()}"))


def test_guessing_is_slowed_while_redis_is_away_too(jo: User, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert [send(TOKEN, username=jo.username, password="guess").status_code for _ in range(11)] == [401] * 10 + [429]
