"""The pages through Django's client: who sees what, what a poll costs, what a form says, what a button does."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from tasks_app import metrics, services
from tasks_app.models import Artifact, Task
from tasks_app.outcomes import Completed, Failed
from tasks_app.scheduling import outlook
from tasks_app.states import Status
from tenants_app.identity import Identity, of_user
from tenants_app.models import Organization
from tests.browser import scene
from tests.factories import end, make_organization, make_simulated_models, make_task, make_user, make_worker, start
from workers_app.models import Model

pytestmark = pytest.mark.django_db
TASKS, OVERVIEW = "/ui/tasks/", "/ui/_overview/"


@pytest.fixture(autouse=True)
def _fresh(tmp_path, settings) -> None:
    cache.clear()
    metrics.forget()
    settings.MEDIA_ROOT = tmp_path
    make_simulated_models()


@pytest.fixture
def leader(db: None) -> Iterator[None]:
    with scene.leading():
        yield


@pytest.fixture
def acme() -> Organization:
    return make_organization("acme")


def signed_in(organization: Organization, *, staff: bool = False) -> tuple[Client, Identity]:
    user = make_user(organization, staff=staff)
    client = Client()
    client.force_login(user)
    identity = of_user(user)
    assert identity is not None
    return client, identity


@pytest.fixture
def member(acme: Organization) -> tuple[Client, Identity]:
    return signed_in(acme)


def text_of(response) -> str:
    return response.content.decode()


# ---------------------------------------------------------------- who sees what


@pytest.mark.parametrize("page", ["/", TASKS, "/ui/workers/", "/ui/submit/llm/"])
def test_every_page_asks_strangers_to_sign_in_and_brings_them_back(page):
    response = Client().get(page)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next={page}"


def test_a_poll_of_an_ended_session_reloads_the_page_instead_of_showing_a_login_inside_it():
    response = Client().get(OVERVIEW, headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Refresh"], response.content) == (204, "true", b"")


def test_a_user_of_no_organization_is_told_so(django_user_model):
    client = Client()
    client.force_login(django_user_model.objects.create_user("nobody"))
    response = client.get("/")
    assert response.status_code == 403
    assert "not a member of an organization" in text_of(response)


def test_another_organizations_task_is_not_there_on_any_page(member):
    client, _ = member
    theirs = make_task(Status.PENDING, input={"prompt": "a secret of theirs"})
    for address in ("", "cancel/", "retry/"):
        method = client.get if not address else client.post
        assert method(f"{TASKS}{theirs.pk}/{address}").status_code == 404
    assert client.get(f"/ui/_tasks/{theirs.pk}/").status_code == 404
    for page in ("/", TASKS, f"/ui/submit/llm/?like={theirs.pk}"):
        assert "a secret of theirs" not in text_of(client.get(page))
    theirs.refresh_from_db()
    assert theirs.status == Status.PENDING


def test_staff_see_the_tasks_of_all_organizations_and_whose_they_are(acme):
    client, _ = signed_in(acme, staff=True)
    theirs = make_task(Status.PENDING, input={"prompt": "from elsewhere"})
    page = text_of(client.get(TASKS))
    assert "from elsewhere" in page
    assert theirs.organization.slug in page


def test_pages_load_nothing_from_elsewhere_and_hold_no_script_or_style_of_their_own(member):
    client, identity = member
    task = make_task(Status.FAILED, identity)
    for page in ("/", TASKS, "/ui/workers/", "/ui/submit/tts/", f"{TASKS}{task.pk}/"):
        response = client.get(page)
        assert response["Content-Security-Policy"].startswith("default-src 'self';")
        html = text_of(response)
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", html)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


# ---------------------------------------------------------------- polling


@pytest.mark.parametrize("address", [OVERVIEW, "/ui/_tasks/", "/ui/_workers/"])
def test_a_fragment_that_did_not_change_is_not_sent_again(member, address):
    client, identity = member
    make_worker("gpu-1")
    make_task(Status.RUNNING, identity)
    tag = client.get(address)["ETag"]
    again = client.get(address, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_the_list_is_sent_again_when_a_task_changes(member):
    client, identity = member
    tag = client.get("/ui/_tasks/")["ETag"]
    make_task(Status.PENDING, identity)
    assert client.get("/ui/_tasks/", headers={"If-None-Match": tag}).status_code == 200


def test_a_task_is_sent_again_when_it_makes_progress(member):
    client, identity = member
    task = make_task(Status.RUNNING, identity)
    scene.progress(task, 2, 10)  # the phase stays from here on: only the progress changes
    address = f"/ui/_tasks/{task.pk}/"
    tag = client.get(address)["ETag"]
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 304
    scene.progress(task, 3, 10)
    changed = client.get(address, headers={"If-None-Match": tag})
    assert (changed.status_code, "step 3 of 10" in text_of(changed)) == (200, True)


def test_a_waiting_task_is_sent_again_when_the_reason_changes_although_its_row_does_not(member, leader):
    client, identity = member
    task = make_task(Status.PENDING, identity)
    address = f"/ui/_tasks/{task.pk}/"
    before = client.get(address)
    make_worker("gpu-1", **scene.ALIVE)
    outlook.forget()
    after = client.get(address, headers={"If-None-Match": before["ETag"]})
    assert "No worker is online" in text_of(before)
    assert "A slot is free" in text_of(after)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED])
def test_an_ended_task_is_polled_no_more(member, status):
    client, identity = member
    task = make_task(status, identity)
    assert "data-live" not in text_of(client.get(f"/ui/_tasks/{task.pk}/"))


def test_a_full_list_costs_as_many_queries_as_a_short_one(member, django_assert_max_num_queries):
    client, identity = member
    for number in range(30):
        make_task([Status.COMPLETED, Status.PENDING, Status.RUNNING][number % 3], identity)
    for address, most in ((OVERVIEW, 16), ("/ui/_tasks/", 6), ("/ui/_workers/", 7)):
        cache.clear()
        metrics.forget()
        with django_assert_max_num_queries(most):
            assert client.get(address).status_code == 200


# ---------------------------------------------------------------- lists


def test_the_filter_is_in_the_address_and_empty_fields_do_not_count(member):
    client, identity = member
    make_task(Status.FAILED, identity, input={"prompt": "went wrong"})
    make_task(Status.PENDING, identity, input={"prompt": "still waits"})
    page = text_of(client.get(TASKS, {"status": "failed", "task_type": "", "q": ""}))
    assert "went wrong" in page
    assert "still waits" not in page
    assert "?status=failed" in page  # and the poll asks for the same


def test_a_filter_that_makes_no_sense_is_explained(member):
    client, _ = member
    response = client.get(TASKS, {"status": "asleep"})
    assert response.status_code == 400
    assert "status must be one of" in text_of(response)


def test_the_pages_of_a_list_show_every_task_once(member):
    client, identity = member
    made = {str(make_task(Status.PENDING, identity).pk) for _ in range(60)}
    seen: list[str] = []
    address: str | None = TASKS
    while address:
        html = text_of(client.get(address))
        seen += re.findall(r'id="row-([^"]+)"', html)
        following = re.search(r'href="([^"]+)" rel="next"', html)
        address = following[1].replace("&amp;", "&") if following else None
    assert len(seen) == len(made)
    assert set(seen) == made


def test_empty_pages_say_what_to_do(member):
    client, _ = member
    assert "curl" in text_of(client.get("/"))
    assert "celery -A orchestrator worker" in text_of(client.get("/ui/workers/"))
    assert "Clear the filter" in text_of(client.get(TASKS, {"status": "failed"}))


# ---------------------------------------------------------------- a task


def test_parameters_inside_parameters_are_shown_by_their_path(member):
    client, identity = member
    task = make_task(Status.PENDING, identity, parameters={"simulate": {"seconds": 4.0, "fail": None}, "stop": []})
    page = text_of(client.get(f"{TASKS}{task.pk}/"))
    assert "<dt>simulate.seconds</dt><dd>4.0</dd>" in page
    assert "simulate.fail</dt>" not in page
    assert "<dt>stop</dt>" not in page


def test_what_people_and_models_write_is_text_and_not_html(member):
    client, identity = member
    claimed = start(make_task(Status.PENDING, identity, input={"prompt": "<script>alert(1)</script>"}))
    end(claimed, Completed({"text": "<img src=x onerror=alert(2)>", "finish_reason": "stop"}))
    page = text_of(client.get(f"{TASKS}{claimed.task_id}/"))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page


def test_a_traceback_is_shown_to_staff_only(acme):
    (client, identity), (staff, _) = signed_in(acme), signed_in(acme, staff=True)
    failed = make_task(
        Status.FAILED, identity, outcome=Failed("invalid_input", "it was bad", detail="in engine/lane.py")
    )
    assert "it was bad" in text_of(client.get(f"{TASKS}{failed.pk}/"))
    assert "in engine/lane.py" not in text_of(client.get(f"{TASKS}{failed.pk}/"))
    assert "in engine/lane.py" in text_of(staff.get(f"{TASKS}{failed.pk}/"))


def test_images_and_sounds_are_shown_from_the_address_that_serves_them(member):
    client, identity = member
    for task, tag in ((scene.picture(identity), "img"), (scene.speech(identity), "audio")):
        file = Artifact.objects.filter(task=task).first()
        assert file is not None
        page = text_of(client.get(f"{TASKS}{task.pk}/"))
        assert re.search(rf'<{tag}[^>]*src="/artifacts/{file.pk}"', page)
        served = client.get(f"/artifacts/{file.pk}")
        assert (served.status_code, served["Content-Type"]) == (200, file.content_type)
        assert len(served.getvalue()) == file.size_bytes


def test_a_caption_stands_beside_our_own_image_and_a_foreign_one_is_only_linked(member):
    client, identity = member
    assert 'class="source" src="/artifacts/' in text_of(client.get(f"{TASKS}{scene.caption(identity).pk}/"))
    foreign = make_task(Status.PENDING, identity, task_type="image_to_text")
    page = text_of(client.get(f"{TASKS}{foreign.pk}/"))
    assert '<a href="https://example.com/cat.png" rel="noreferrer noopener"' in page
    assert '<img class="source"' not in page


def test_the_curl_of_a_task_asks_for_the_same_task(member):
    client, identity = member
    asked = {"prompt": 'it\'s "quoted" & 100 % <odd>'}
    task = make_task(Status.PENDING, identity, input=asked, parameters={"seed": 3, "top_k": None})
    command = re.search(r'<pre id="again"[^>]*>(.*?)</pre>', text_of(client.get(f"{TASKS}{task.pk}/")), re.DOTALL)
    assert command
    body = json.loads(shlex.split(unescape(command[1]))[-1])
    assert body == {"task_type": "llm", "model": "simulated", "input": asked, "parameters": {"seed": 3}}


# ---------------------------------------------------------------- why it waits


def why(client: Client, task: Task) -> str:
    outlook.forget()
    found = re.search(r"Why it waits\.</strong> (.*?)</span>", text_of(client.get(f"{TASKS}{task.pk}/")))
    return found[1] if found else ""


def test_a_waiting_task_says_what_it_waits_for(member, request):
    client, identity = member
    task = make_task(Status.PENDING, identity)
    assert why(client, task).startswith("No scheduler is running.")
    request.getfixturevalue("leader")
    assert why(client, task) == "No worker is online."
    worker = make_worker("gpu-1", **scene.ALIVE, slots=1, kinds=["tts"])
    assert why(client, task).startswith("No online worker can run simulated")
    worker.kinds = ["llm"]
    worker.save()
    assert why(client, task).startswith("A slot is free")
    start(make_task(Status.PENDING, identity), "gpu-1")
    assert why(client, task) == "Every slot that could run it is busy. It is the first in line."
    make_task(Status.PENDING, identity, priority=9)
    assert why(client, task).endswith("1 stand before it.")
    worker.state = "paused"
    worker.save()
    assert why(client, task) == "No worker takes new work: gpu-1 is paused."
    Model.objects.filter(task_type="llm").update(enabled=False)
    assert why(client, task).startswith("The model simulated is not enabled any more.")
    Task.objects.filter(pk=task.pk).update(not_before=timezone.now() + timedelta(hours=1))
    assert why(client, task).startswith("It is scheduled, and starts not before ")


def test_a_running_task_does_not_say_why_it_waits(member):
    client, identity = member
    assert why(client, make_task(Status.RUNNING, identity)) == ""


# ---------------------------------------------------------------- buttons


def test_cancel_and_retry_go_through_the_services_and_say_what_happened(member):
    client, identity = member
    task = make_task(Status.PENDING, identity)
    page = client.post(f"{TASKS}{task.pk}/cancel/", follow=True)
    assert "Cancelled before it started." in text_of(page)
    again = client.post(f"{TASKS}{task.pk}/retry/", follow=True)
    retried = Task.objects.get(retry_of=task.pk)
    assert again.redirect_chain == [(f"{TASKS}{retried.pk}/", 302)]


def test_a_task_that_ended_meanwhile_is_told_truthfully(member):
    client, identity = member
    done, busy = make_task(Status.COMPLETED, identity), make_task(Status.RUNNING, identity)
    assert "It had already ended" in text_of(client.post(f"{TASKS}{done.pk}/cancel/", follow=True))
    assert "It has not ended yet" in text_of(client.post(f"{TASKS}{busy.pk}/retry/", follow=True))
    assert not Task.objects.filter(retry_of=busy.pk).exists()


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_buttons_need_a_post_and_a_token(member, verb):
    client, identity = member
    task = make_task(Status.PENDING, identity)
    assert client.get(f"{TASKS}{task.pk}/{verb}/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(f"{TASKS}{task.pk}/{verb}/").status_code == 403


# ---------------------------------------------------------------- the form


def submit(client: Client, task_type: str, **fields):
    return client.post(f"/ui/submit/{task_type}/", {name.replace("__", "."): value for name, value in fields.items()})


def problem_at(response, path: str) -> str:
    found = re.search(rf'id="field-{path}-problem">([^<]*)<', text_of(response))
    return found[1] if found else ""


def test_what_was_typed_arrives_with_the_types_of_the_api(member):
    client, _ = member
    response = submit(
        client, "llm", model="simulated", input__prompt="two\r\nlines", parameters__max_new_tokens="12",
        parameters__temperature="0.5", parameters__stop="END\r\n\r\nSTOP", parameters__simulate__seconds="2",
        priority="9",
    )  # fmt: skip
    task = Task.objects.get()
    assert response["Location"] == f"{TASKS}{task.pk}/"
    assert task.input == {"prompt": "two\nlines"}
    assert (task.parameters["max_new_tokens"], task.parameters["temperature"]) == (12, 0.5)
    assert (task.parameters["stop"], task.parameters["simulate"]["seconds"]) == (["END", "STOP"], 2.0)
    assert task.priority == 9


@pytest.mark.parametrize(
    ("task_type", "path", "typed", "said"),
    [
        ("llm", "parameters.temperature", "3", "Temperature must be 0 to 2."),
        ("llm", "parameters.max_new_tokens", "many", "Max new tokens must be 1 to 32768."),
        ("llm", "priority", "11", "Priority must be 1 to 10."),
        ("stable_diffusion", "parameters.width", "100", "Width must be 64 to 2048 and a multiple of 8."),
        ("tts", "parameters.speed", "nan", "Speed must be 0.25 to 4."),
    ],
)
def test_the_api_s_complaint_stands_beside_its_field_and_nothing_typed_is_lost(member, task_type, path, typed, said):
    client, _ = member
    given = {"input.text" if task_type == "tts" else "input.prompt": "keep me", path: typed}
    response = client.post(f"/ui/submit/{task_type}/", given)
    assert response.status_code == 400
    assert problem_at(response, path.replace(".", "-")) == said
    assert "keep me" in text_of(response)
    assert f'value="{typed}"' in text_of(response)
    assert not Task.objects.exists()


def test_an_empty_form_says_what_is_missing(member):
    client, _ = member
    assert problem_at(submit(client, "tts"), "input-text") == "Text is required."
    assert problem_at(submit(client, "llm"), "input-prompt") == "Prompt is required (or messages)."


def test_an_uploaded_image_is_kept_as_the_tasks_own_artifact(member):
    client, _ = member
    image = SimpleUploadedFile("boat.png", scene.draw(64, 64), "image/png")
    assert client.post("/ui/submit/image_to_text/", {"input.image": image}).status_code == 302
    task = Task.objects.get()
    assert task.input["image"] == f"artifact://{Artifact.objects.get(task=task, is_input=True).pk}"


def test_an_upload_that_is_no_image_is_refused_beside_its_field(member):
    client, _ = member
    fake = SimpleUploadedFile("boat.png", b"not an image", "image/png")
    response = client.post("/ui/submit/image_to_text/", {"input.image": fake})
    assert "must be a PNG, JPEG, WebP or GIF image" in problem_at(response, "input-image")
    assert not Artifact.objects.exists()


def test_the_form_shows_what_the_chosen_model_fills_in_and_allows(member):
    client, _ = member
    Model.objects.create(
        task_type="stable_diffusion", name="small", defaults={"num_inference_steps": 20}, limits={"width": 256}
    )
    page = text_of(client.get("/ui/submit/stable_diffusion/", {"model": "small"}))
    assert re.search(r'name="parameters\.num_inference_steps"[^>]*placeholder="20"', page)
    assert "64 to 256, a multiple of 8." in page
    assert "parameters.simulate.seconds" not in page


def test_edit_and_submit_starts_from_what_was_asked(member):
    client, identity = member
    task = make_task(Status.FAILED, identity, input={"prompt": "once more"}, parameters={"seed": 7, "stop": ["a", "b"]})
    page = text_of(client.get(f"/ui/submit/llm/?like={task.pk}"))
    assert ">once more</textarea>" in page
    assert re.search(r'name="parameters\.seed" value="7"', page)
    assert ">a\nb</textarea>" in page


@pytest.mark.parametrize(("typed", "stored"), [("yes", True), ("no", False), ("", False)])
def test_a_flag_is_asked_with_yes_and_no_and_comes_back_as_it_was(member, typed, stored):
    client, _ = member
    form = {"model": "simulated", "input.prompt": "a fox"}
    client.post("/ui/submit/stable_diffusion/", {**form, "parameters.preview": typed})
    task = Task.objects.get()
    assert task.parameters["preview"] is stored
    again = text_of(client.get(f"/ui/submit/stable_diffusion/?like={task.pk}"))
    [shown] = re.findall(r'<select id="field-parameters-preview".*?</select>', again, re.DOTALL)
    assert ("<option selected>yes</option>" in shown) is stored
    kept = (re.findall(r"<option selected>(\w+)</option>", shown) or [""])[0]  # what a browser sends back
    assert client.post("/ui/submit/stable_diffusion/", {**form, "parameters.preview": kept}).status_code == 302
    assert [task.parameters["preview"] for task in Task.objects.all()] == [stored, stored]


def test_a_flag_that_is_neither_is_refused_beside_its_field(member):
    client, _ = member
    response = client.post("/ui/submit/stable_diffusion/", {"input.prompt": "a fox", "parameters.preview": "maybe"})
    assert problem_at(response, "parameters-preview") == "Preview must be true or false."


def test_a_type_that_does_not_exist_has_no_form(member):
    client, _ = member
    assert client.get("/ui/submit/video/").status_code == 404


# ---------------------------------------------------------------- signing in, errors


def test_a_wrong_password_is_refused_and_a_right_one_leads_back(acme):
    user = make_user(acme)
    wrong = Client().post("/login/", {"username": user.username, "password": "no"})
    assert "is not right" in text_of(wrong)
    right = Client().post("/login/?next=/ui/workers/", {"username": user.username, "password": "secret"})
    assert right["Location"] == "/ui/workers/"


def test_guessing_passwords_is_slowed_on_the_login_page_too(acme):
    user, address = make_user(acme, name=f"guessed-{uuid4()}"), str(uuid4())
    guess = {"username": user.username, "password": "no"}
    statuses = [Client(REMOTE_ADDR=address).post("/login/", guess).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    right = Client(REMOTE_ADDR=address).post("/login/", {**guess, "password": "secret"})
    assert (right.status_code, "Too many tries" in text_of(right)) == (429, True)


def test_nobody_is_led_to_another_host_after_signing_in(acme):
    user = make_user(acme)
    response = Client().post("/login/?next=//evil.example/", {"username": user.username, "password": "secret"})
    assert response["Location"] == "/"


def test_signing_out_needs_a_post(member):
    client, _ = member
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_an_address_of_nothing_is_a_page_and_one_without_its_slash_is_led_on(member):
    client, _ = member
    assert "There is nothing here" in text_of(client.get("/nothing/"))
    assert client.get("/ui/tasks?status=failed")["Location"] == "/ui/tasks/?status=failed"
    assert client.get("/admin")["Location"] == "/admin/"


def test_what_nobody_could_run_is_refused_on_the_pages_with_the_reason(member):
    client, identity = member
    failed = make_task("failed", identity)
    make_worker("gpu-1", **scene.ALIVE, kinds=["tts"])
    asked = {"model": "simulated", "input.prompt": "Hello"}
    refused = client.post("/ui/submit/llm/", asked)
    assert (refused.status_code, "No worker runs tasks of type llm" in text_of(refused)) == (400, True)
    retried = client.post(f"{TASKS}{failed.pk}/retry/", follow=True)
    assert "No worker runs tasks of type llm" in text_of(retried)
    assert Task.objects.count() == 1


def test_a_cancel_of_a_task_that_is_deleted_at_that_moment_says_that_it_is_gone(member, monkeypatch):
    client, identity = member
    task = make_task(Status.PENDING, identity)
    cancelling = services.cancel_many
    monkeypatch.setattr(services, "cancel_many", lambda *args: (Task.objects.all().delete(), cancelling(*args)))
    assert client.post(f"{TASKS}{task.pk}/cancel/").status_code == 404
