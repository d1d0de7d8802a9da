"""manage.py run_external_pool - becomes a worker that hands its tasks to somebody else's Celery workers."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "A worker whose engine is the Celery at EXTERNAL_BROKER_URL (docs/external-workers.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="external", help="the worker's name in Baton (external)")
        parser.add_argument("--slots", type=int, default=4, help="tasks that are handed over at the same time (4)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.EXTERNAL_BROKER_URL:
            raise CommandError("EXTERNAL_BROKER_URL is empty: it names the broker of the external workers.")
        if not 1 <= options["slots"] <= 1000:
            raise CommandError("--slots must be 1 to 1000")
        command = (
            *(sys.executable, "-m", "celery", "--quiet", "-A", "orchestrator", "worker"),
            *("--hostname", f"{options['name']}@%h", "--pool", "threads", "--concurrency", str(options["slots"])),
            *("--prefetch-multiplier", "1", "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
        )
        own = {"WORKER_EXTERNAL": "true", "WORKER_NAME": options["name"]}
        os.execve(sys.executable, command, os.environ | own)
