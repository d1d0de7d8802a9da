"""The Celery application. A message is a hint: no result backend decides anything, no retry or ETA is used.

Settings with the prefix CELERY_ come from orchestrator.settings. `celery -A orchestrator worker` finds the worker
side through `gpu_worker.tasks`; the web and scheduler processes send by name and never import that module.
"""

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

app = Celery("baton", set_as_current=True)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ("gpu_worker.tasks",)  # read by workers only, at their start


@signals.setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Celery leaves the logging alone when somebody answers this signal; settings.LOGGING_CONFIG did it already."""
