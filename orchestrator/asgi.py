"""The web process: static files, then Django. Never imports torch."""

import os

# Threads come and go here, so connections are pooled; the other processes keep one each. Read by the settings.
os.environ.setdefault("DATABASE_POOL", "1")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

import django

django.setup(set_prefix=False)

from django.core.signals import request_started  # noqa: E402
from django.db import close_old_connections, reset_queries  # noqa: E402

from orchestrator.handler import ThreadedHandler  # noqa: E402
from orchestrator.static_files import with_static_files  # noqa: E402

# They would cost a thread hop before every request, to tend connections that ThreadedHandler tends itself.
request_started.disconnect(close_old_connections)
request_started.disconnect(reset_queries)

application = with_static_files(ThreadedHandler())
