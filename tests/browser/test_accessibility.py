"""No serious axe violation on any page, light and dark; all fits a narrow screen; nothing is said in the console."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tasks_app.models import Task
from tenants_app.identity import Identity
from tests.browser import scene

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
SERIOUS = {"serious", "critical"}


@pytest.fixture
def addresses(identity: Identity, leader: None) -> list[str]:
    """Every page, and a task's page for every kind of content."""
    scene.workers()
    scene.lose_a_worker()
    scene.everything(identity)
    shown = [scene.picture, scene.speech, scene.caption, scene.story, scene.failure, scene.running]
    tasks = [show(identity) for show in shown] + [Task.objects.filter(status=s)[0] for s in ("pending", "cancelling")]
    forms = [f"/ui/submit/{kind}/" for kind in ("llm", "stable_diffusion", "tts", "image_to_text")]
    pages = ["/", "/ui/tasks/", "/ui/tasks/?status=expired&model=none", "/ui/workers/", "/no/such/page/"]
    return pages + forms + [f"/ui/tasks/{task.pk}/" for task in tasks]


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {each['id']}: {node['html'][:120]}: {node.get('failureSummary', '')}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_no_page_has_a_serious_violation(page: Page, addresses: list[str], colours: str) -> None:
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")  # type: ignore[arg-type]
    found: list[str] = []
    for address in addresses:
        page.goto(address)
        for details in page.locator("details").all():
            details.evaluate("element => { element.open = true }")
        found += violations(page)
    page.context.clear_cookies()
    page.goto("/login/")
    assert found + violations(page) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_empty_pages_have_no_serious_violation(page: Page, colours: str) -> None:
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")  # type: ignore[arg-type]
    found: list[str] = []
    for address in ("/", "/ui/tasks/", "/ui/workers/"):
        page.goto(address)
        found += violations(page)
    assert found == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_page_is_wider_than_the_screen(page: Page, addresses: list[str], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    wide: list[str] = []
    for address in addresses:
        page.goto(address)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(address)
    assert wide == []


def test_what_can_be_pressed_is_at_least_24_pixels_high(page: Page, addresses: list[str]) -> None:
    small: list[str] = []
    for address in addresses:
        page.goto(address)
        small += page.eval_on_selector_all(
            "button, .button, select, summary, .sections a, .tabs a, input:not([type=hidden])",
            "all => all.filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 24)"
            ".map(e => e.outerHTML)",
        )
    assert small == []


def test_no_page_complains_in_the_console(page: Page, addresses: list[str]) -> None:
    """A violated content policy would show here too."""
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    for address in addresses:
        if address != "/no/such/page/":
            page.goto(address)
            page.wait_for_timeout(1_100)  # a poll and its morph
    assert said == []
