"""Makes the pictures of the README: `python -m pytest tests/browser/screenshots.py`, into SCREENSHOTS if set.

No test by its name, so nobody collects it by accident.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page

from tenants_app.identity import Identity
from tests.browser import scene

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("leader")]
DIRECTORY = Path(os.environ.get("SCREENSHOTS", "docs/images"))


def shoot(page: Page, name: str, full: bool = False) -> None:
    """A settled page."""
    page.wait_for_timeout(1_500)
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = DIRECTORY / f"{name}.png"
    page.screenshot(path=path, full_page=full)
    with Image.open(path) as image:
        image.convert("RGB").save(path, optimize=True)


def busy(identity: Identity) -> None:
    scene.workers()
    scene.everything(identity)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_overview(page: Page, identity: Identity, colours: str) -> None:
    busy(identity)
    page.emulate_media(color_scheme=colours)
    page.goto("/")
    shoot(page, f"overview-{colours}")


def test_task(page: Page, identity: Identity) -> None:
    busy(identity)
    page.goto(f"/ui/tasks/{scene.picture(identity).pk}/")
    shoot(page, "task")
