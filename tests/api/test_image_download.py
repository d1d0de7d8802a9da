"""What a worker does with a task's image: real HTTPS, real redirects, and a canary that must get no connection.

`localhost.pem` is a certificate and key for this file alone.
"""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from tasks_app import artifacts, guard, images
from tasks_app.images import download as downloading
from tasks_app.models import Artifact
from tenants_app.models import Organization
from tests.factories import make_organization

CERTIFICATE = Path(__file__).with_name("localhost.pem")


def picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "PNG")
    return file.getvalue()


class Host(ThreadingHTTPServer):
    daemon_threads = True
    connections = 0

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class Answers(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        port = self.server.server_port
        match self.path:
            case "/fox.png":
                self.answer(200, picture())
            case "/text":
                self.answer(200, b"hello", [("Content-Type", "image/png")])
            case "/bomb":
                self.answer(200, b"x" * 100_000)
            case "/moved":
                self.answer(302, location="/fox.png")
            case "/loop":
                self.answer(302, location="/loop")
            case "/to-http":
                self.answer(302, location=f"http://public.test:{port}/fox.png")
            case "/to-internal":
                self.answer(307, location=f"https://internal.test:{port}/fox.png")
            case "/nowhere":
                self.answer(301)
            case "/drip":
                self.drip()
            case _:
                self.answer(404)

    def answer(self, status: int, body: bytes = b"", headers: Any = (), location: str = "") -> None:
        self.send_response(status)
        for name, value in (*headers, *([("Location", location)] if location else ())):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Trusted like any other host: its names lead to this machine, and only `public.test` counts as public."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server = Host(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    addresses = {"public.test": "127.0.0.1", "internal.test": "127.0.0.2", "localhost": "127.0.0.1"}
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setattr(guard, "resolve", lambda name, port: [ipaddress.ip_address(addresses[name])])
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "is_public", lambda address: str(address) == "127.0.0.1")


def fetch(host: Host, path: str, directory: Path, name: str = "public.test") -> Path:
    return images.materialize(f"https://{name}:{host.server_port}{path}", uuid4(), directory)


@pytest.mark.parametrize("path", ["/fox.png", "/moved"])
@pytest.mark.usefixtures("public")
def test_an_image_is_put_on_disk(host: Host, tmp_path: Path, path: str) -> None:
    file = fetch(host, path, tmp_path)
    assert (file.parent, file.suffix, file.read_bytes()) == (tmp_path, ".png", picture())


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/text", images.InvalidImage, "must be a PNG, JPEG, WebP or GIF image"),
        ("/to-http", images.InvalidImage, "is not at an https URL"),
        ("/to-internal", images.InvalidImage, "is not on a public host"),
        ("/loop", images.DownloadFailed, "redirects more than 3 times"),
        ("/nowhere", images.DownloadFailed, "redirects to nowhere"),
        ("/missing", images.DownloadFailed, "answered 404"),
    ],
)
@pytest.mark.usefixtures("public")
def test_what_cannot_be_used_is_told(
    host: Host, tmp_path: Path, path: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fetch(host, path, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("public")
def test_a_file_that_is_too_large_is_dropped_on_the_way(host: Host, tmp_path: Path, settings: Any) -> None:
    settings.MAX_IMAGE_BYTES = 1000
    with pytest.raises(images.InvalidImage, match="at most 1000 bytes"):
        fetch(host, "/bomb", tmp_path)


@pytest.mark.usefixtures("public")
def test_a_host_that_drips_is_given_up(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "TOTAL_SECONDS", 0.5)
    with pytest.raises(images.DownloadFailed):
        fetch(host, "/drip", tmp_path)


def test_this_machine_gets_no_connection(host: Host, tmp_path: Path) -> None:
    """Without the fixture `public`, 127.0.0.1 is what it is."""
    for name in ("public.test", "localhost"):
        with pytest.raises(images.InvalidImage, match="public"):
            fetch(host, "/fox.png", tmp_path, name)
    assert host.connections == 0


def test_an_intranet_may_allow_its_own_hosts(host: Host, tmp_path: Path, settings: Any) -> None:
    settings.ALLOW_PRIVATE_IMAGE_HOSTS = True
    assert fetch(host, "/fox.png", tmp_path, "localhost").read_bytes() == picture()


def test_a_host_that_is_away_may_come_back(tmp_path: Path, settings: Any) -> None:
    settings.ALLOW_PRIVATE_IMAGE_HOSTS = True
    with pytest.raises(images.DownloadFailed):
        images.materialize("https://127.0.0.1:1/fox.png", uuid4(), tmp_path)


@pytest.mark.parametrize("url", ["https://[::1/x", "ftp://public.test/x", "https:///x", "nonsense"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(images.InvalidImage):
        images.materialize(url, uuid4(), tmp_path)


def stored(organization: Organization) -> Artifact:
    file = artifacts.store_bytes(picture(), "image/png", organization.pk)
    return Artifact.objects.create(
        id=file.id, organization=organization, file=file.file, content_type=file.content_type,
        size_bytes=file.size_bytes, sha256=file.sha256,
    )  # fmt: skip


@pytest.mark.django_db
def test_a_stored_image_is_put_on_disk(tmp_path: Path) -> None:
    artifact = stored(organization := make_organization())
    file = images.materialize(f"artifact://{artifact.pk}", organization.pk, tmp_path)
    assert file.read_bytes() == picture()


@pytest.mark.django_db
def test_the_stored_image_of_another_organization_is_not_there(tmp_path: Path) -> None:
    artifact = stored(make_organization())
    with pytest.raises(images.InvalidImage, match="no longer exists"):
        images.materialize(f"artifact://{artifact.pk}", make_organization().pk, tmp_path)


@pytest.mark.django_db
def test_a_stored_image_whose_file_is_gone_is_told(tmp_path: Path) -> None:
    artifact = stored(organization := make_organization())
    artifacts.discard([str(artifact.file.name)])
    with pytest.raises(images.InvalidImage, match="file is gone"):
        images.materialize(f"artifact://{artifact.pk}", organization.pk, tmp_path)
