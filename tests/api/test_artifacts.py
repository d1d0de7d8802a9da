"""GET /artifacts/{id} and POST /artifacts/."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from tasks_app import artifacts
from tasks_app.models import Artifact
from tasks_app.outcomes import Completed
from tenants_app.identity import Identity
from tenants_app.models import Organization
from tests.api.conftest import error_of
from tests.factories import end, make_task, make_user, start

pytestmark = pytest.mark.django_db
CONTENT = bytes(range(256)) * 4


def stored(identity: Identity, content_type: str = "image/png", content: bytes = CONTENT) -> Artifact:
    """As a completed task leaves it."""
    claimed = start(make_task(identity=identity))
    file = artifacts.store_bytes(content, content_type, claimed.task_id)
    end(claimed, Completed({}, (file,)))
    return Artifact.objects.get(pk=file.id)


def picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()


def test_a_file_comes_whole_with_its_type_and_nothing_that_a_browser_could_run(api: Client, identity: Identity) -> None:
    artifact = stored(identity)
    response = api.get(f"/artifacts/{artifact.pk}")
    assert response.getvalue() == CONTENT
    assert response["Content-Type"] == "image/png"
    assert response["Content-Length"] == "1024"
    assert response["ETag"] == f'"{artifact.sha256}"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["Content-Disposition"].startswith("inline")


@pytest.mark.parametrize(
    ("content_type", "disposition"),
    [
        ("image/png", "inline"), ("image/jpeg", "inline"), ("image/webp", "inline"), ("audio/wav", "inline"),
        ("audio/mpeg", "inline"), ("audio/ogg", "inline"), ("audio/flac", "inline"), ("image/gif", "attachment"),
        ("image/svg+xml", "attachment"), ("text/html", "attachment"), ("application/pdf", "attachment"),
    ],
)  # fmt: skip
def test_only_what_cannot_run_is_shown_and_all_else_is_saved(
    api: Client, identity: Identity, content_type: str, disposition: str
) -> None:
    response = api.get(f"/artifacts/{stored(identity, content_type).pk}")
    response.close()
    assert response["Content-Disposition"].split(";")[0] == disposition
    assert response["Content-Type"] == content_type


def test_an_image_tag_that_takes_only_images_gets_one(api: Client, identity: Identity) -> None:
    response = api.get(f"/artifacts/{stored(identity).pk}", headers={"Accept": "image/png"})
    assert response.getvalue() == CONTENT


@pytest.mark.parametrize(
    ("header", "part", "content_range"),
    [
        ("bytes=0-9", CONTENT[:10], "bytes 0-9/1024"),
        ("bytes=1000-", CONTENT[1000:], "bytes 1000-1023/1024"),
        ("bytes=-24", CONTENT[1000:], "bytes 1000-1023/1024"),
    ],
)
def test_a_range_of_a_file_is_206(
    api: Client, identity: Identity, header: str, part: bytes, content_range: str
) -> None:
    response = api.get(f"/artifacts/{stored(identity).pk}", headers={"Range": header})
    assert (response.status_code, response["Content-Range"]) == (206, content_range)
    assert response.getvalue() == part


def test_a_range_beyond_the_end_is_416(api: Client, identity: Identity) -> None:
    response = api.get(f"/artifacts/{stored(identity).pk}", headers={"Range": "bytes=1024-"})
    assert (response.status_code, response["Content-Range"]) == (416, "bytes */1024")


def test_a_range_of_another_version_is_the_whole_file(api: Client, identity: Identity) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": '"another"'}
    response = api.get(f"/artifacts/{stored(identity).pk}", headers=headers)
    assert (response.status_code, response.getvalue()) == (200, CONTENT)


def test_a_file_that_is_known_is_304(api: Client, identity: Identity) -> None:
    artifact = stored(identity)
    response = api.get(f"/artifacts/{artifact.pk}", headers={"If-None-Match": f'"{artifact.sha256}"'})
    assert (response.status_code, response.content) == (304, b"")


def test_the_file_of_another_organization_does_not_exist(stranger: Client, identity: Identity) -> None:
    error_of(stranger.get(f"/artifacts/{stored(identity).pk}"), 404, "not_found")


def test_a_person_who_is_logged_in_sees_the_files_of_their_organization(
    organization: Organization, identity: Identity
) -> None:
    browser = Client()
    browser.force_login(make_user(organization))
    assert browser.get(f"/artifacts/{stored(identity).pk}").getvalue() == CONTENT
    other = stored(Identity(make_task().organization, None, "x"))
    error_of(browser.get(f"/artifacts/{other.pk}"), 404, "not_found")


def test_a_file_that_is_gone_is_404(api: Client, identity: Identity) -> None:
    artifact = stored(identity)
    artifacts.discard([str(artifact.file.name)])
    error_of(api.get(f"/artifacts/{artifact.pk}"), 404, "not_found")


def test_an_image_is_stored_from_a_form(api: Client, organization: Organization) -> None:
    response = api.post("/artifacts/", {"file": SimpleUploadedFile("a.png", picture(), "text/html")})
    shown = response.json()
    assert response.status_code == 201
    assert response["Location"] == shown["url"]
    assert (shown["content_type"], shown["size_bytes"]) == ("image/png", len(picture()))
    assert api.get(shown["url"]).getvalue() == picture()
    assert Artifact.objects.get().organization == organization


def test_an_image_is_stored_from_a_raw_body_and_read_by_a_task(api: Client, catalogue: None) -> None:
    shown = api.post("/artifacts", picture(), content_type="image/png").json()
    image = f"artifact://{shown['artifact_id']}"
    task = api.post("/tasks/", {"task_type": "image_to_text", "input": {"image": image}}, "application/json")
    assert (task.status_code, task.json()["input"]["image"]) == (201, image)


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 400, "invalid_input", "file"),
        ({"file": "text"}, 400, "invalid_input", "file"),
        ({"image": SimpleUploadedFile("a.png", b"x")}, 400, "invalid_input", "image"),
        ({"file": SimpleUploadedFile("a.png", b"x"), "name": "a"}, 400, "invalid_input", "name"),
        ({"file": SimpleUploadedFile("a.svg", b"<svg/>", "image/svg+xml")}, 400, "invalid_input", "file"),
    ],
)
def test_an_upload_that_is_no_image_is_refused_and_named(
    api: Client, body: Any, status: int, code: str, param: str
) -> None:
    assert error_of(api.post("/artifacts/", body), status, code)["param"] == param
    assert not Artifact.objects.exists()


@pytest.mark.parametrize("raw", [True, False])
def test_an_upload_that_is_too_large_is_413(api: Client, settings: Any, raw: bool) -> None:
    settings.MAX_IMAGE_BYTES = 50
    content = b"x" * 51
    if raw:
        response = api.post("/artifacts/", content, content_type="image/png")
    else:
        response = api.post("/artifacts/", {"file": SimpleUploadedFile("a.png", content)})
    error_of(response, 413, "payload_too_large")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_an_upload_of_something_else_is_415(api: Client, content_type: str) -> None:
    error_of(api.post("/artifacts/", b"{}", content_type=content_type), 415, "unsupported_media_type")


def test_a_broken_form_is_refused(api: Client) -> None:
    response = api.post("/artifacts/", b"--x\r\nnonsense", content_type="multipart/form-data; boundary=")
    error_of(response, 400, "invalid_input")
