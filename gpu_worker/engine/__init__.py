"""The engine process: holds models on one device, knows requests and tensors, and may be killed at any moment.

Nothing below this package or `gpu_worker.runners` imports Django, Celery or our apps.
"""
