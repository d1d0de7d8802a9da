"""TLS for tests: an authority, one certificate of this machine, and a front that speaks it for a server that cannot."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.broker import TlsFiles


def make_files(folder: Path) -> TlsFiles:
    """An authority, and a certificate for localhost that server and client share."""
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for command in (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        "openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem",
        "openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -days 2 -extfile names -out own.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return TlsFiles(*(str(folder / name) for name in ("ca.pem", "own.pem", "key.pem")))


@contextmanager
def front(files: TlsFiles, target: Path) -> Iterator[int]:
    """The port of a TLS server that asks for a client's certificate and hands what it hears to a Unix socket."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files.authority)
    context.load_cert_chain(files.certificate, files.key)
    context.verify_mode = ssl.CERT_REQUIRED
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(target)
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield int(server.sockets[0].getsockname()[1])
    loop.call_soon_threadsafe(server.close)
    asyncio.run_coroutine_threadsafe(_end_all(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until one side hangs up; then the other one learns it."""
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


async def _end_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
