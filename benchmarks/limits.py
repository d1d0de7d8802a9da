"""What limits add to a submit, and how long sums of usage take.

`python -m benchmarks.limits` starts a PostgreSQL and a Redis of its own and prints two tables. A submit is a POST
through Django, without a server or a network around it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from orchestrator.local import ephemeral

SUBMITS, ROUNDS = 100, 5  # of each setting, in turn, so that a busy moment meets all of them
TASKS = 300_000  # that ended over 30 days, of five organizations
LIMITS: dict[str, dict[str, int]] = {
    "none": {},
    "requests per minute": {"requests_per_minute": 10**6},
    "tasks that wait": {"queued_limit": 10**6},
    "GPU-seconds and tokens": {"gpu_seconds_per_day": 10**9, "tokens_per_day": 10**12},
    "all of them": {
        "requests_per_minute": 10**6, "queued_limit": 10**6, "gpu_seconds_per_day": 10**9, "tokens_per_day": 10**12,
    },
}  # fmt: skip

FILL = """
INSERT INTO tasks_app_task (id, organization_id, task_type, model, input, parameters, priority, execution_timeout,
       max_attempts, metadata, status, attempt, free_attempts, last_seq, result, gpu_seconds, model_load_seconds,
       inference_seconds, input_tokens, output_tokens, created_at, started_at, completed_at)
SELECT gen_random_uuid(), (%s::uuid[])[1 + n %% 5], 'llm', 'model-' || n %% 7,
       jsonb_build_object('prompt', repeat(md5(n::text), 30)), '{}', 5, 600, 3, '{}', 'completed', 1, 0, 4,
       '{"text": "x"}', 2.5, 0.5, 2, 100, 200, at, at, at
  FROM (SELECT n, now() - n * interval '30 days' / %s AS at FROM generate_series(1, %s) AS n) AS ended
"""


def main() -> None:
    servers = ephemeral.start()
    os.environ |= {
        "DATABASE_URL": servers.database_url,
        "CELERY_BROKER_URL": servers.broker_url,
        "REDIS_URL": servers.redis_url,
        "SECRET_KEY": "benchmark-" + "x" * 40,
        "DATA_DIR": tempfile.mkdtemp(prefix="baton-benchmark-"),
        "DJANGO_SETTINGS_MODULE": "orchestrator.settings",
        "ALLOWED_HOSTS": "testserver",
        "LOG_LEVEL": "ERROR",
    }
    import django

    django.setup()
    from django.core.management import call_command

    try:
        call_command("migrate", verbosity=0)
        print(f"{'limit':<24} median ms   95 %")
        for name, times in submits().items():
            print(
                f"{name:<24} {1000 * statistics.median(times):9.2f} {1000 * sorted(times)[len(times) * 95 // 100]:6.2f}"
            )
        usage()
    finally:
        servers.stop()


def submits() -> dict[str, list[float]]:
    from django.test import Client

    from tenants_app import keys
    from tenants_app.models import Organization
    from workers_app.models import Model

    Model.objects.create(task_type="llm", name="simulated", runner="simulated", is_default=True)
    clients = {}
    for number, (name, limits) in enumerate(LIMITS.items()):
        organization = Organization.objects.create(slug=f"org-{number}", name=name, **limits)
        clients[name] = Client(headers={"Authorization": f"Bearer {keys.create(organization, 'x')[1]}"})
    times: dict[str, list[float]] = {name: [] for name in LIMITS}
    body = {"task_type": "llm", "input": {"prompt": "Hello"}}
    for _ in range(ROUNDS):
        for name, client in clients.items():
            post = partial(client.post, "/tasks/", body, content_type="application/json")
            times[name] += [seconds(post) for _ in range(SUBMITS)]
    return times


def usage() -> None:
    from django.db import connection, transaction

    from tasks_app import quotas
    from tasks_app.usage import Question, read
    from tenants_app.identity import Identity
    from tenants_app.models import Organization

    organizations = list(Organization.objects.all())
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        filled = seconds(lambda: cursor.execute(FILL, [[row.pk for row in organizations], TASKS, TASKS]))
        for state in ("just written", "vacuumed"):
            if state == "vacuumed":
                cursor.execute("VACUUM ANALYZE tasks_app_task")
            print(f"\n{TASKS:,} tasks, {state}{'' if state == 'vacuumed' else f' in {filled:.0f} s'}")
            ask(organizations[0], Identity, Question, read)
    organization = organizations[-1]
    with transaction.atomic():
        now = Organization.objects.select_for_update().get(pk=organization.pk) and _now()
        print(f"today's cost, first sum    {1000 * seconds(lambda: quotas._spent_today(organization, now)):7.1f} ms")
        print(f"today's cost, from the mark {1000 * seconds(lambda: quotas._spent_today(organization, now)):6.1f} ms")


def ask(organization: Any, identity: Any, question: Any, read: Any) -> None:
    from datetime import timedelta

    own, staff = identity(organization, None, "x"), identity(organization, None, "x", sees_all=True)
    month, week = _now() - timedelta(days=30), _now() - timedelta(days=7)
    for name, who, begin, groups in (
        ("own, a month, day and model", own, month, ("day", "model")),
        ("own, a week, day and model", own, week, ("day", "model")),
        ("all, a month, organization", staff, month, ("organization",)),
        ("all, a month, every group", staff, month, ("day", "organization", "user", "api_key", "task_type", "model")),
    ):
        once = partial(read, who, question(begin, _now(), groups))
        print(f"{name:<28} {1000 * min(seconds(once) for _ in range(3)):7.1f} ms")


def _now() -> Any:
    from django.utils import timezone

    return timezone.now()


def seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
