"""Somebody else's Celery workers as an engine: plain workers that know the four task names and nothing of Baton."""
