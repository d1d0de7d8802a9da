"""Does a running Baton do its job? Asked over HTTP like any client would, from anywhere.

Called by `manage.py check_orchestration`. Knows the API and nothing behind it: no settings, no database, no Celery.
"""
