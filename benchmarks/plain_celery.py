"""The peer: a no-op task as most projects run it, Celery with a Redis result backend. Nothing durable, no API."""

import os

from celery import Celery

app = Celery(
    "plain", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ["REDIS_URL"].replace("unix", "redis+socket")
)
app.conf.task_default_queue = "plain"
app.conf.worker_prefetch_multiplier = 1


@app.task
def nothing() -> dict[str, str]:
    return {"text": "done"}
