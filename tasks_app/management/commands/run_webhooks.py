"""`manage.py run_webhooks`: sends webhooks; run as many as you like, each delivery is claimed by one of them."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from tasks_app.webhooks.sender import Sender


class Command(BaseCommand):
    help = "Tell the addresses that clients gave with their tasks how these have ended."

    def handle(self, *args: Any, **options: Any) -> None:
        sender = Sender()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sender.stop())
        sender.run()
