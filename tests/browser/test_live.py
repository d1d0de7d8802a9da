"""Pages that follow what happens, in a real Chromium: no test here reloads a page to see a change."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tasks_app.models import Artifact, Task
from tasks_app.outcomes import Completed
from tasks_app.states import Status
from tenants_app.identity import Identity
from tests.browser import scene
from tests.factories import end, make_task, make_worker, start

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_task_is_followed_from_waiting_to_its_result(page: Page, identity: Identity) -> None:
    task = make_task(Status.PENDING, identity)
    page.goto(f"/ui/tasks/{task.pk}/")
    badge = page.locator("h1 .badge")
    expect(badge).to_have_text("pending")
    expect(page.get_by_text("Why it waits.")).to_be_visible()
    claimed = start(task, "gpu-1")
    scene.leases_last(task)
    expect(badge).to_have_text("running")
    scene.progress(task, 4, 10)
    expect(page.get_by_text("40 %, step 4 of 10")).to_be_visible()
    end(claimed, Completed({"text": "Forty-two.", "finish_reason": "stop"}))
    expect(badge).to_have_text("completed")
    expect(page.locator("#result-text")).to_have_text("Forty-two.")
    expect(page.get_by_role("button", name="Retry as new")).to_be_visible()


def test_the_page_of_an_ended_task_asks_no_more(page: Page, identity: Identity) -> None:
    claimed = start(make_task(Status.PENDING, identity), "gpu-1")
    page.goto(f"/ui/tasks/{claimed.task_id}/")
    end(claimed, Completed({"text": "Done.", "finish_reason": "stop"}))
    expect(page.locator("h1 .badge")).to_have_text("completed")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)  # more than two ticks
    assert asked == []


def test_polls_that_bring_nothing_new_are_answered_304_and_touch_nothing(page: Page, identity: Identity) -> None:
    make_task(Status.PENDING, identity)
    page.goto("/ui/tasks/")
    answers: list[int] = []
    page.wait_for_timeout(1_500)  # the first poll learns the tag
    page.evaluate(
        "window.changes = 0; new MutationObserver((list) => {"
        " window.changes += list.filter((change) => !change.target.closest('time')).length"
        "}).observe(document.querySelector('#tasks'), { childList: true, subtree: true })"
    )
    page.on("response", lambda response: answers.append(response.status))
    page.wait_for_timeout(3_200)
    assert len(answers) >= 2
    assert set(answers) == {304}
    assert page.evaluate("window.changes") == 0


def test_the_overview_shows_a_new_task_and_counts_it(page: Page, identity: Identity) -> None:
    waiting = page.locator(".tile").first.locator(".big dd").first
    expect(waiting).to_have_text("0")
    make_task(Status.PENDING, identity, input={"prompt": "just came in"})
    expect(page.get_by_role("link", name=re.compile("just came in"))).to_be_visible()
    expect(waiting).to_have_text("1")


def test_an_update_takes_neither_the_focus_nor_what_was_opened(page: Page, identity: Identity) -> None:
    task = scene.failure(identity)
    Task.objects.filter(pk=task.pk).update(status="running", completed_at=None, error=None, started_at=timezone.now(),
                                           lease_expires_at="2100-01-01T00:00Z")  # fmt: skip
    page.goto(f"/ui/tasks/{task.pk}/")
    page.locator("#traceback-1 summary").click()
    page.locator("#traceback-1 summary").focus()
    scene.progress(task, 7, 10)
    expect(page.get_by_text("70 %, step 7 of 10")).to_be_visible()
    expect(page.locator("#traceback-1 pre")).to_be_visible()
    assert page.evaluate("document.activeElement.parentElement.id") == "traceback-1"


def test_what_is_typed_into_the_form_survives_updates_around_it(page: Page, identity: Identity) -> None:
    page.get_by_label("Prompt").fill("half a thought")
    make_task(Status.PENDING, identity, input={"prompt": "just came in"})
    expect(page.get_by_role("link", name=re.compile("just came in"))).to_be_visible()
    expect(page.get_by_label("Prompt")).to_have_value("half a thought")


def test_a_lost_connection_is_said_and_its_return_too(page: Page, identity: Identity) -> None:
    make_worker("gpu-1", **scene.ALIVE)
    page.goto("/ui/workers/")
    expect(page.locator("#stale")).to_be_hidden()
    page.context.set_offline(True)
    expect(page.locator("#stale")).to_contain_text("Connection lost, reconnecting")
    expect(page.locator("#stale")).to_contain_text(re.compile(r"last update \d+ s ago"))
    page.context.set_offline(False)
    expect(page.locator("#stale")).to_be_hidden()


def test_live_can_be_paused(page: Page, identity: Identity) -> None:
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "false")
    page.wait_for_timeout(1_200)  # what was on its way has arrived
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)
    assert asked == []
    page.get_by_role("button", name="Live").click()
    page.wait_for_timeout(1_500)
    assert asked


def test_a_session_that_ended_leads_to_the_login(page: Page, identity: Identity) -> None:
    page.context.clear_cookies()
    page.wait_for_url("**/login/**")


def test_images_and_sounds_really_load(page: Page, identity: Identity) -> None:
    page.goto(f"/ui/tasks/{scene.picture(identity).pk}/")
    image = page.locator(".images img").first
    expect(image).to_be_visible()
    page.wait_for_function("document.querySelector('.images img').naturalWidth === 512")
    page.goto(f"/ui/tasks/{scene.speech(identity).pk}/")
    page.wait_for_function("document.querySelector('audio').duration > 1.9")


def test_an_image_is_uploaded_through_the_form(page: Page, identity: Identity) -> None:
    page.get_by_role("link", name="Image to text").click()
    upload = {"name": "boat.png", "mimeType": "image/png", "buffer": scene.draw(64, 64)}
    page.get_by_label("Image", exact=True).set_input_files(files=[upload])  # type: ignore[list-item]
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/ui/tasks/*/")
    assert Artifact.objects.filter(task__task_type="image_to_text", is_input=True).count() == 1
    page.wait_for_function("document.querySelector('img.source').naturalWidth === 64")


def test_choosing_the_simulated_model_offers_what_to_simulate_and_keeps_the_prompt(
    page: Page, identity: Identity
) -> None:
    page.goto("/ui/submit/llm/")
    page.get_by_label("Prompt").fill("keep me")
    page.get_by_label("Model").select_option("simulated")
    page.get_by_text("Parameters", exact=True).click()
    page.get_by_label("Seconds", exact=True).fill("3")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/ui/tasks/*/")
    task = Task.objects.get()
    assert (task.input, task.parameters["simulate"]["seconds"]) == ({"prompt": "keep me"}, 3.0)


def test_cancel_from_the_page(page: Page, identity: Identity) -> None:
    task = make_task(Status.PENDING, identity)
    page.goto(f"/ui/tasks/{task.pk}/")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled before it started.").first).to_be_visible()
    expect(page.locator("h1 .badge")).to_have_text("cancelled")


def test_the_theme_is_kept(page: Page, identity: Identity) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark
