"""A real Chromium against a real server process' worth of Django: its live server, on the test's own database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tasks_app import metrics
from tenants_app.identity import Identity, of_user
from tests.browser import scene
from tests.factories import make_organization, make_user

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAME, PASSWORD = "ada", "secret"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium: install the Debian package chromium, or name one in CHROMIUM")
    # Playwright keeps an event loop on this thread, where Django would refuse to touch the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def identity(transactional_db: None) -> Identity:
    """Ada, a member of staff; models are there, tasks and workers are not."""
    cache.clear()
    metrics.forget()
    scene.models()
    identity = of_user(make_user(make_organization("acme"), staff=True, name=NAME))
    assert identity is not None
    return identity


@pytest.fixture
def leader(identity: Identity) -> Iterator[None]:
    with scene.leading():
        yield


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, identity: Identity) -> Iterator[Page]:
    """Signed in through the real form, in light colours."""
    context = browser.new_context(
        base_url=live_server.url, color_scheme="light", viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("User name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    yield page
    context.close()
