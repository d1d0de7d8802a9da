"""What every test starts with: empty caches, as a fresh process has them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tasks_app import capability, metrics, rates
from tasks_app.scheduling import outlook
from tenants_app.key_cache import key_cache
from workers_app.selectors import model_cache


@pytest.fixture(autouse=True)
def _forget_what_earlier_tests_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "PREFIX", f"baton:rate:{uuid4()}")  # the Redis is everybody's, and its minutes are long
    key_cache.clear()
    metrics.forget()
    model_cache.clear()
    capability.forget()
    outlook.forget()
    rates.forget()
