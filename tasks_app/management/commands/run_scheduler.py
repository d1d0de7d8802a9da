"""`manage.py run_scheduler`: the scheduler as a process of its own; run as many as you like, one leads."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from tasks_app.scheduling.loop import Scheduler


class Command(BaseCommand):
    help = "Place waiting tasks on workers, rescue those of lost workers, expire those that waited too long."

    def handle(self, *args: Any, **options: Any) -> None:
        scheduler = Scheduler()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: scheduler.stop())
        scheduler.run()
