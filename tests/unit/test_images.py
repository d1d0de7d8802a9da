"""What image is accepted, and which address is connected to. No database, no network."""

from __future__ import annotations

import ipaddress
import struct
import zlib
from io import BytesIO
from typing import Any

import httpcore
import pytest
from PIL import Image

from tasks_app import guard
from tasks_app.api.files import Unsatisfiable, byte_range
from tasks_app.guard import PublicOnly, RefusedAddress, is_public
from tasks_app.images import InvalidImage, validate


def picture(kind: str, size: tuple[int, int] = (4, 4)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes whose header says that they unpack to that many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif")],
)
def test_the_type_of_an_image_is_told_from_its_bytes(kind: str, content_type: str) -> None:
    assert validate(picture(kind)) == content_type


@pytest.mark.parametrize("content", [b"", b"hello", b"<svg/>", b"%PDF-1.7", picture("BMP"), picture("TIFF"), b"GIF89a"])
def test_anything_else_is_no_image(content: bytes) -> None:
    with pytest.raises(InvalidImage):
        validate(content)


@pytest.mark.parametrize("size", [(8001, 8000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidImage):
        validate(png_that_claims(*size))


def test_an_image_of_just_the_allowed_size_is_accepted() -> None:
    assert validate(png_that_claims(8000, 8000)) == "image/png"


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_connected_to(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "239.1.1.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fc00::1",
        "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "2001:db8::1", "::7f00:1", "fec0::1",
    ],
)  # fmt: skip
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_the_checked_address_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that gives another answer the second time is asked only once."""
    answers = iter([["10.0.0.1", "93.184.216.34"], ["127.0.0.1"]])
    monkeypatch.setattr(
        guard, "resolve", lambda host, port: [ipaddress.ip_address(address) for address in next(answers)]
    )
    connected: list[str] = []
    backend = PublicOnly()
    monkeypatch.setattr(
        backend._sockets, "connect_tcp", lambda host, *rest: connected.append(host) or httpcore.NetworkStream()
    )
    backend.connect_tcp("rebinding.example", 443)
    assert connected == ["93.184.216.34"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0x7f000001", "2130706433", "127.1", "[::1]".strip("[]")])
def test_no_spelling_of_this_machine_is_connected_to(host: str) -> None:
    with pytest.raises((RefusedAddress, httpcore.ConnectError)):
        PublicOnly().connect_tcp(host, 9, timeout=1)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", None), ("bytes=0-", (0, 100)), ("bytes=0-0", (0, 1)), ("bytes=10-19", (10, 20)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)), ("bytes=-500", (0, 100)), ("bytes=-", None), ("bytes=20-10", None),
        ("bytes=0-1,5-6", None), ("items=0-1", None), ("bytes=a-b", None), ("bytes=99-", (99, 100)),
    ],
)  # fmt: skip
def test_a_range_of_a_file_is_read_as_browsers_mean_it(header: str, part: Any) -> None:
    assert byte_range(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        byte_range(header, 100)
