"""The web process as uvicorn starts it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import httpx
import pytest

from orchestrator.handler import ThreadedHandler
from orchestrator.static_files import with_static_files


def test_it_pools_its_connections_and_imports_neither_torch_nor_the_worker() -> None:
    script = (
        "import sys, orchestrator.asgi; from django.conf import settings;"
        "assert settings.DATABASES['default']['OPTIONS']['pool'];"
        "print(*sorted({'torch', 'transformers', 'diffusers', 'gpu_worker'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/static/admin/css/base.css", "text/css"),
        ("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js", "text/javascript"),
    ],
)
def test_it_serves_static_files_without_debug_or_collectstatic(path: str, content_type: str) -> None:
    response = get(path)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(content_type)
    assert len(response.content) > 1000


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/../manage.py", "/static/%2e%2e/manage.py"])
def test_it_serves_nothing_else_below_static(path: str) -> None:
    assert get(path).status_code == 404


def get(path: str) -> Any:
    async def fetch() -> Any:
        handler = ThreadedHandler()
        transport = httpx.ASGITransport(with_static_files(handler))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            try:
                return await client.get(path)
            finally:
                await handler.close()

    return asyncio.run(fetch())


def test_it_streams_a_file_from_a_thread(tmp_path: Any) -> None:
    from tasks_app.api.files import FileResponse

    content = bytes(1_000_000)
    (tmp_path / "file").write_bytes(content)

    async def read() -> bytes:
        response = FileResponse((tmp_path / "file").open("rb"), 600_000)
        received = b"".join([chunk async for chunk in response])
        response.close()
        return received

    assert asyncio.run(read()) == content[:600_000]
