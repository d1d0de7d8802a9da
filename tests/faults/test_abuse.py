"""What nobody well-behaved sends, to real processes: each gets its 4xx in the envelope, and costs no memory."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import psutil
import pytest

from tests.faults.stack import Stack

pytestmark = pytest.mark.faults
JSON = {"Content-Type": "application/json"}
MEMORY = 120 * 2**20  # bytes that a request may cost while it is refused: a few times the largest body that is taken


def body(prompt: str) -> dict[str, object]:
    return {"task_type": "llm", "model": "simulated", "input": {"prompt": prompt}}


def png_bomb() -> bytes:
    """Some hundred kilobytes that unpack to two gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = 45_000
    packer = zlib.compressobj(9)
    row = bytes(1 + side)
    rows = b"".join([*(packer.compress(row) for _ in range(2_000)), packer.flush()])
    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


ATTACKS: dict[str, tuple[Callable[[], bytes], str, dict[str, str], set[int]]] = {
    "40 MB of a prompt": (lambda: json.dumps(body("x" * 40_000_000)).encode(), "/tasks/", JSON, {413}),
    "40 MB of a batch": (lambda: b'{"tasks": [' + b"{}," * 13_000_000 + b"{}]}", "/tasks/batch/", JSON, {413}),
    "a deep list": (lambda: b"[" * 50_000, "/tasks/", JSON, {400}),
    "a deep object": (lambda: b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "/tasks/", JSON, {400}),
    "a gzip bomb": (
        lambda: gzip.compress(b" " * 100_000_000), "/tasks/", JSON | {"Content-Encoding": "gzip"}, {400, 415},
    ),
    "NUL": (lambda: b'{"task_type": "llm", "input": {"prompt": "a\\u0000b"}}', "/tasks/", JSON, {400}),
    "a lone surrogate": (lambda: b'{"task_type": "llm", "input": {"prompt": "\\ud800"}}', "/tasks/", JSON, {400}),
    "a surrogate in a key": (lambda: b'{"task_type": "llm", "metadata": {"\\ud800": "x"}}', "/tasks/", JSON, {400}),
    "no UTF-8": (lambda: b'{"task_type": "\xff\xfe"}', "/tasks/", JSON, {400}),
    "a number without end": (lambda: b'{"priority": ' + b"9" * 1_000_000 + b"}", "/tasks/", JSON, {400}),
    "an image bomb": (png_bomb, "/artifacts/", {"Content-Type": "image/png"}, {400, 413}),
    "40 MB of an image": (lambda: b"\x89PNG" + bytes(40_000_000), "/artifacts/", {"Content-Type": "image/png"}, {413}),
    "a pickle": (lambda: b"\x80\x04cos\nsystem\n.", "/tasks/", {"Content-Type": "application/x-pickle"}, {415}),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_refused_in_the_envelope_and_costs_no_memory(stack: Stack, attack: str) -> None:
    make, path, headers, allowed = ATTACKS[attack]
    content = make()
    web = psutil.Process(stack.processes["web"].pid)
    before = web.memory_info().rss
    for _ in range(3):
        answer = stack.api.post(path, content=content, headers=headers)
        assert answer.status_code in allowed, answer.text[:500]
        assert set(answer.json()) == {"error", "detail"}
    assert web.memory_info().rss - before < MEMORY
    assert stack.api.get("/healthz").status_code == 200
