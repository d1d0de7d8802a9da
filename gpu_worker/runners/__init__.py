"""One module per kind of model. Nothing here imports Django, Celery or our apps, and no runner knows a queue."""
