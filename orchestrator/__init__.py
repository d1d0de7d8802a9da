"""Wiring only: settings, Celery, URLs, ASGI and the one-command start. No business rule lives here."""
