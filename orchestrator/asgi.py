"""The web process: static files, then Django. Never imports torch."""

import os

# Threads come and go here, so connections are pooled; the other processes keep one each. Read by the settings.
os.environ.setdefault("DATABASE_POOL", "1")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

import django

django.setup(set_prefix=False)

from orchestrator.handler import ThreadedHandler  # noqa: E402
from orchestrator.static_files import with_static_files  # noqa: E402

application = with_static_files(ThreadedHandler())
