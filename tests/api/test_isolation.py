"""Every route and verb, asked by a stranger with each kind of credentials: nothing of another organization is told or
changed.

ROUTES names every operation of the OpenAPI document, the tables of pages every address of the dashboard; one that is
missing fails, so who adds a route says here what a stranger may expect of it. What is in neither (a WebSocket) adds a
function to ELSEWHERE, which asks by itself with each of the credentials. `-s` prints how much was walked.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from orchestrator.openapi import document
from tasks_app import artifacts, batches, pausing, services
from tasks_app.dashboard import urls as pages
from tasks_app.models import (
    Artifact,
    Batch,
    OpenAIBatch,
    OpenAIFile,
    PauseKind,
    Task,
    TaskEvent,
    UsageRecord,
    WebhookDelivery,
    WebhookSecret,
)
from tasks_app.openai import batches as openai_batches
from tasks_app.openai import files
from tasks_app.openai.ids import BATCH, FILE, shown
from tasks_app.outcomes import Completed, Measured
from tasks_app.services import NewTask
from tasks_app.webhooks import signing
from tenants_app import keys, logins
from tenants_app.identity import Identity
from tenants_app.models import ApiKey, Login, Membership, Organization, Role
from tests.api.conftest import client_with
from tests.factories import (
    INPUTS,
    end,
    make_organization,
    make_simulated_models,
    make_task,
    make_user,
    make_worker,
    start,
)

pytestmark = pytest.mark.django_db

# ---------------------------------------------------------------- whom it is about


@dataclass(frozen=True)
class Victim:
    """An organization with one of everything. `marks` are texts that no stranger may ever read."""

    organization: Organization
    task: Task
    failed: Task
    batch: Batch
    image: Artifact
    delivery: WebhookDelivery
    key: ApiKey
    member: User
    requests: OpenAIFile
    openai_batch: OpenAIBatch
    marks: list[str]

    def names(self, template: str = "") -> dict[str, str]:
        """For the parts of paths."""
        under_v1 = {"batch_id": shown(BATCH, self.openai_batch.pk)} if template.startswith("/v1/") else {}
        return {
            "file_id": shown(FILE, self.requests.pk),
            "model": "simulated",
            "task_id": str(self.task.pk),
            "batch_id": str(self.batch.pk),
            "artifact_id": str(self.image.pk),
            "delivery_id": str(self.delivery.pk),
            "key_id": str(self.key.pk),
            "username": self.member.username,
            **under_v1,
        }


@pytest.fixture
def victim(db: None) -> Victim:
    make_simulated_models()
    make_worker("shared-worker")
    organization = make_organization("victims-inc")
    member = make_user(organization, name="victim-member")
    key, secret = keys.create(organization, "victim-key", member)
    identity = Identity(organization, member.pk, member.username, api_key_id=key.pk)
    task = make_task(identity=identity, input={"prompt": "victim-prompt"}, webhook_url="https://victim.example/hook",
                     metadata={"note": "victim-note"})  # fmt: skip
    claimed = start(make_task(identity=identity, model="victim-model", webhook_url="https://victim.example/hook"))
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    stored = artifacts.store_bytes(picture.getvalue(), "image/png", claimed.task_id)
    end(claimed, Completed({"text": "victim-result"}, (stored,), Measured(0.0, 7.0, 5, 5)))
    failed = make_task("failed", identity)
    services.delete(make_task("completed", identity, model="victim-model"), "x")
    batch = batches.submit(
        identity, batches.NewBatch({"note": "victim-note"}), [NewTask("llm", "simulated", INPUTS["llm"])]
    )
    pausing.pause(PauseKind.ORGANIZATION, organization.slug, "root", "victim-reason")
    line = {"custom_id": "victim-line", "method": "POST", "url": "/v1/completions", "body": {"prompt": "victim-prompt"}}
    requests = files.upload(identity, SimpleUploadedFile("victim-requests.jsonl", json.dumps(line).encode()))
    openai_batch = openai_batches.create(identity, requests, "/v1/completions", {"note": "victim-note"}).row
    secrets = [each.text for each in signing.secrets_of(organization.pk)]
    image, delivery = Artifact.objects.get(is_input=False), WebhookDelivery.objects.get()
    ids = [task.pk, claimed.task_id, failed.pk, batch.pk, image.pk, delivery.pk, key.pk, organization.pk]
    ids += [requests.pk.hex, openai_batch.pk.hex]
    marks = ["victim", key.prefix, secret, stored.sha256, *secrets, *map(str, ids)]
    return Victim(organization, task, failed, batch, image, delivery, key, member, requests, openai_batch, marks)


def possessions(victim: Victim) -> Any:
    """Every row of the victim's, to see that none was changed, made or lost."""
    own = {"organization": victim.organization.pk}
    rows: list[Any] = [
        list(model.objects.filter(**own).order_by("pk").values())
        for model in (
            Task,
            Batch,
            Artifact,
            WebhookDelivery,
            WebhookSecret,
            UsageRecord,
            ApiKey,
            Membership,
            OpenAIFile,
            OpenAIBatch,
        )
    ]
    events = list(TaskEvent.objects.filter(task__organization=victim.organization.pk).order_by("pk").values())
    return [*rows, events, list(Organization.objects.filter(pk=victim.organization.pk).values())]


# ---------------------------------------------------------------- who asks


@dataclass(frozen=True)
class Stranger:
    name: str
    client: Client
    known: bool  # to Baton; who is not gets 401 wherever one has to be somebody


def strangers(victim: Victim) -> Iterator[Stranger]:
    """The most that another organization can give somebody, and some who are nobody."""
    organization = make_organization("strangers")
    person = make_user(organization, name=f"stranger-{uuid4().hex[:8]}")
    Membership.objects.filter(user=person).update(role=Role.ADMIN)
    _, key = keys.create(organization, "own", person)
    yield Stranger("key", client_with(key), True)
    _, key = keys.create(organization, "own")
    yield Stranger("key of no person", client_with(key), True)
    tokens = logins.sign_in(person.username, "secret")
    assert tokens
    yield Stranger("token", client_with(tokens.access), True)
    browser = Client(headers={"Accept": "application/json"})
    browser.force_login(person)
    yield Stranger("session", browser, True)
    yield Stranger("nobody", Client(), False)
    yield from _who_left(victim)


def _who_left(victim: Victim) -> Iterator[Stranger]:
    """A member of the victim's until a moment ago."""
    left = make_user(victim.organization, name="gone")
    _, key = keys.create(victim.organization, "gone", left)
    tokens = logins.sign_in("gone", "secret")
    browser = Client()
    browser.force_login(left)
    Membership.objects.filter(user=left).delete()
    assert tokens
    yield Stranger("key of who left", client_with(key), False)
    yield Stranger("token of who left", client_with(tokens.access), False)
    yield Stranger("session of who left", browser, False)
    ApiKey.objects.filter(user=left).delete()
    Login.objects.filter(user=left).delete()


# ---------------------------------------------------------------- what they may expect


@dataclass(frozen=True)
class Route:
    """`known`: the statuses that a stranger who is somebody may get; who is nobody gets 401.

    `asks`: queries or bodies, each one request, in which {task_id} and the like stand for what is the victim's.
    """

    known: set[int]
    asks: list[Any] = field(default_factory=lambda: [None])
    is_open: bool = False  # to everybody


def hidden(*asks: Any) -> Route:
    """It names something of the victim's: the same 404 as for what does not exist."""
    return Route({404}, list(asks) or [None])


def own(*asks: Any) -> Route:
    """It tells or makes what is the stranger's own, whatever of the victim's is named."""
    return Route({200, 201, 202, 204, 400, 404, 409}, list(asks) or [None])


SHARED = Route({200})  # of all organizations, and names none
STAFF = Route({403}, [{}])
HELD = {400, 504}  # no worker answers here, and this server cannot hold
GIVEN_OUT = Route({400, 404}, is_open=True)  # by an address that nobody can guess
PROBE = Route(set(), [])  # asks on other threads, which see nothing of this test; they tell no rows
TASK = {"task_type": "llm", "input": {"prompt": "mine"}}
FILTERS = [
    None,
    "batch_id={batch_id}",
    "user={username}",
    "q=victim-prompt",
    "q={task_id}",
    "model=victim-model",
    "before=ffffffff-ffff-ffff-ffff-ffffffffffff",
    "after={task_id}",
]
CHOICES = [
    {"ids": ["{task_id}", "{failed_id}"]},
    {"filter": {"batch_id": "{batch_id}"}},
    {"filter": {"user": "{username}"}},
    {"filter": {"model": "victim-model"}},
    {"all": True},
]
ROUTES: dict[str, Route] = {
    "GET /api-keys/": own(None, "revoked=true"),
    "POST /api-keys/": own({"name": "mine"}),
    "DELETE /api-keys/{key_id}/": hidden(),
    "POST /api-keys/{key_id}/rotate/": hidden({}),
    "POST /artifacts/": Route({415}, [{}]),
    "GET /artifacts/{artifact_id}/": hidden(),
    "POST /auth/token/": Route({401}, [{"username": "{username}", "password": "no"}], is_open=True),
    "POST /auth/token/refresh/": Route({401}, [{"refresh": "a.b.c"}], is_open=True),
    "GET /healthz/": Route({200}, is_open=True),
    "GET /models/": SHARED,
    "POST /models/{name}/pause/": STAFF,
    "POST /models/{name}/resume/": STAFF,
    "GET /organization/": own(),
    "GET /organization/members/": own(),
    "POST /organization/members/": own({"username": "nobody-of-that-name"}),
    "PATCH /organization/members/{username}/": hidden({"role": "viewer"}),
    "DELETE /organization/members/{username}/": hidden(),
    "POST /organizations/{name}/pause/": STAFF,
    "POST /organizations/{name}/resume/": STAFF,
    "GET /queues/": SHARED,
    "POST /queues/{name}/pause/": STAFF,
    "POST /queues/{name}/resume/": STAFF,
    "GET /readyz/": PROBE,
    "GET /tasks/": own(*FILTERS),
    "POST /tasks/": own(
        TASK,
        {**TASK, "batch_id": "{batch_id}"},
        {"task_type": "image_to_text", "input": {"image": "artifact://{artifact_id}"}},
    ),
    "GET /tasks/{task_id}/": hidden(None, "wait=0"),
    "DELETE /tasks/{task_id}/": hidden(None, "force=true"),
    "GET /tasks/{task_id}/attempts/": hidden(),
    "PATCH /tasks/{task_id}/cancel/": hidden({}),
    "POST /tasks/{task_id}/cancel/": hidden({}),
    "GET /tasks/{task_id}/events/": hidden(),
    "GET /tasks/{task_id}/explain/": hidden(),
    "POST /tasks/{task_id}/retry/": hidden({}),
    "POST /tasks/batch/": own({"tasks": [TASK]}, {"tasks": [{**TASK, "batch_id": "{batch_id}"}]}),
    "GET /tasks/batch/{batch_id}/": hidden(),
    "PATCH /tasks/batch/{batch_id}/cancel/": hidden({}),
    "POST /tasks/batch/{batch_id}/cancel/": hidden({}),
    "POST /tasks/bulk/cancel/": own(*CHOICES),
    "POST /tasks/bulk/retry/": own(*CHOICES),
    "GET /tasks/stats/metrics/": own(*(f"window={window}" for window in ("1h", "24h", "7d", "all"))),
    "GET /tasks/workers/health/": SHARED,
    "GET /tasks/workers/stats/": SHARED,
    "GET /usage/": own(
        "group_by=organization,user,api_key,model,day",
        "organization=victims-inc",
        "user={username}&format=csv",
        "api_key={key_id}",
    ),
    "GET /v1/batches/": own(None, "after={batch_id}"),
    "POST /v1/batches/": hidden(
        {"input_file_id": "{file_id}", "endpoint": "/v1/completions", "completion_window": "24h"}
    ),
    "GET /v1/batches/{batch_id}/": hidden(),
    "POST /v1/batches/{batch_id}/cancel/": hidden({}),
    "GET /v1/files/": own(None, "after={file_id}", "purpose=batch"),
    "POST /v1/files/": Route({415}, [{}]),
    "GET /v1/files/{file_id}/": hidden(),
    "DELETE /v1/files/{file_id}/": hidden(),
    "GET /v1/files/{file_id}/content/": hidden(),
    "GET /v1/models/": SHARED,
    "GET /v1/models/{model}/": SHARED,
    "POST /v1/audio/speech/": Route(HELD, [{"input": "mine"}]),
    "POST /v1/chat/completions/": Route(
        HELD,
        [
            {"messages": [{"role": "user", "content": "mine"}]},
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "artifact://{artifact_id}"}}],
                    }
                ]
            },
        ],
    ),
    "POST /v1/completions/": Route(HELD, [{"prompt": "mine"}]),
    "POST /v1/images/generations/": Route(HELD, [{"prompt": "mine"}]),
    "GET /v1/images/content/{token}/": GIVEN_OUT,
    "GET /webhooks/": own(None, "task_id={task_id}", "before=ffffffff-ffff-ffff-ffff-ffffffffffff"),
    "POST /webhooks/{delivery_id}/resend/": hidden({}),
    "GET /webhooks/secret/": own(),
    "POST /webhooks/secret/": own({}),
    "GET /workers/": SHARED,
    "GET /workers/{name}/": SHARED,
    "PATCH /workers/{name}/": Route({403}, [{"state": "paused"}]),
}
NAMES = {"models": "simulated", "organizations": "victims-inc", "queues": "llm", "workers": "shared-worker"}


def operations() -> dict[str, str]:
    """The path of each, by what ROUTES calls it."""
    paths = document()["paths"]
    return {f"{verb.upper()} {path}": path for path in paths for verb in paths[path]}


def test_every_operation_is_in_the_table():
    assert set(operations()) == set(ROUTES), "say in ROUTES what a stranger may expect"


def test_a_stranger_is_told_nothing_and_changes_nothing_over_the_api(victim: Victim):
    before, walked = possessions(victim), Counter[str]()
    for stranger in strangers(victim):
        for name, route in ROUTES.items():
            for ask in route.asks:
                walk(victim, stranger, name, route, ask)
                walked[stranger.name] += 1
        WebhookSecret.objects.exclude(organization=victim.organization).delete()
    assert possessions(victim) == before
    print(f"\n{len(ROUTES)} routes × {len(walked)} credentials: {walked.total()} requests")


def test_what_is_hidden_from_strangers_is_there_for_its_owner(victim: Victim):
    """Or the walk would prove nothing."""
    client = client_with(keys.create(victim.organization, "own")[1])
    for name, route in ROUTES.items():
        method, _, template = name.partition(" ")
        if route.known == {404} and method == "GET" and not template.endswith("/events/"):  # which do not end
            response = client.get(fill(template, victim.names(template)))
            assert (response.status_code, bool(text_of(response))) == (200, True), name


def walk(victim: Victim, stranger: Stranger, name: str, route: Route, ask: Any) -> None:
    method, _, template = name.partition(" ")
    named = {
        **victim.names(template),
        "failed_id": str(victim.failed.pk),
        "name": NAMES.get(template.split("/")[1], ""),
    }
    path = fill(template, named)
    response = send(stranger.client, method, path, fill(ask, named))
    said = f"{stranger.name}: {name} {ask} answered {response.status_code} {text_of(response)[:300]}"
    known = stranger.known or route.is_open
    assert response.status_code in (route.known if known else {401}), said
    told = text_of(response)
    if known and route.known == {404}:
        unnamed = {key: "nothing" if key == "username" else str(uuid4()) for key in named} | {"name": named["name"]}
        absent = send(stranger.client, method, fill(template, unnamed), fill(ask, named))
        assert absent.status_code == 404
        assert neutral(told, path) == neutral(text_of(absent), fill(template, unnamed)), said
        return
    echoed = [mark for mark in victim.marks if mark in json.dumps(fill(ask, named)) or mark in path]
    for mark in victim.marks:
        assert mark in echoed or mark not in told, f"{mark} told. {said}"


def fill(pattern: Any, names: dict[str, str]) -> Any:
    if not isinstance(pattern, str):
        return json.loads(fill(json.dumps(pattern), names))
    return re.sub(r"\{(\w+)\}", lambda match: names.get(match[1], match[0]), pattern)


def send(client: Client, method: str, path: str, ask: Any) -> Any:
    """A text is a query, anything else a body."""
    if isinstance(ask, str):
        return client.generic(method, path, QUERY_STRING=ask)
    return client.generic(method, path, json.dumps(ask) if ask is not None else "", content_type="application/json")


def text_of(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    for close in response._resource_closers:  # its files; closing all of it would also close the database
        close()
    return bytes(content).decode(errors="replace")


def neutral(body: str, path: str) -> str:
    """Without what differs between two requests that are answered alike."""
    for part in filter(None, path.split("/")):
        body = body.replace(part, "…")
    return re.sub(r'"request_id":"\w+"', "", body)


# ---------------------------------------------------------------- the pages

HIDDEN_PAGES = {
    "task-page": "GET", "task-fragment": "GET", "task-cancel": "POST", "task-retry": "POST",
    "task-webhook-resend": "POST",
}  # fmt: skip
OWN_PAGES = {
    "overview",
    "tasks-page",
    "workers-page",
    "submit",
    "overview-fragment",
    "tasks-fragment",
    "workers-fragment",
}
STAFF_PAGES = {"worker-state"}
SIGNING_PAGES = {"login", "logout", None}  # None: an address without its last slash


def test_every_page_is_in_the_table():
    assert {page.name for page in pages.urlpatterns} == set(HIDDEN_PAGES) | OWN_PAGES | STAFF_PAGES | SIGNING_PAGES


@pytest.fixture
def outsider(victim: Victim) -> Client:
    """An admin of another organization, in the browser."""
    person = make_user(make_organization("strangers"), name="outsider")
    Membership.objects.filter(user=person).update(role=Role.ADMIN)
    client = Client()
    client.force_login(person)
    return client


def test_a_stranger_is_told_nothing_and_changes_nothing_on_the_pages(victim: Victim, outsider: Client):
    before = possessions(victim)
    named = {"task_id": str(victim.task.pk), "task_type": "llm", "name": "shared-worker"}
    for page in pages.urlpatterns:
        path = "/" + fill(re.sub(r"<\w+:(\w+)>", r"{\1}", str(page.pattern)), named)
        if page.name in HIDDEN_PAGES:
            method = HIDDEN_PAGES[page.name]
            assert outsider.generic(method, path).status_code == 404, path
            assert Client().generic(method, path).status_code == 302, path
        elif page.name in STAFF_PAGES:
            assert outsider.post(path, {"state": "paused"}).status_code == 403, path
        elif page.name in OWN_PAGES:
            for query in ("", f"?like={victim.task.pk}", "?q=victim-prompt", f"?batch_id={victim.batch.pk}"):
                shown = outsider.get(path + query).content.decode()
                for mark in victim.marks:
                    assert mark in query or mark == "victim" or mark not in shown, f"{mark} on {path}{query}"
                if "victim" not in query:
                    assert "victim" not in shown, f"{path}{query}"
            assert Client().get(path).status_code == 302, path
    assert possessions(victim) == before


# ---------------------------------------------------------------- what is neither

ELSEWHERE: list[Callable[[Victim, Stranger], None]] = []  # each asks by itself, and asserts that nothing is told


def test_a_stranger_is_told_nothing_elsewhere(victim: Victim):
    before = possessions(victim)
    for stranger in strangers(victim):
        for ask in ELSEWHERE:
            ask(victim, stranger)
    assert possessions(victim) == before


def test_the_same_idempotency_key_of_another_organization_finds_nothing(victim: Victim):
    headers = {"Idempotency-Key": "tuesday"}
    own_client = client_with(keys.create(victim.organization, "x")[1])
    theirs = own_client.post("/tasks/", TASK, content_type="application/json", headers=headers).json()
    stranger = next(strangers(victim))
    answer = stranger.client.post("/tasks/", TASK, content_type="application/json", headers=headers)
    assert answer.status_code == 201
    assert answer.json()["task_id"] != theirs["task_id"]
