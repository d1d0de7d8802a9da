"""Images that a task reads: what is accepted, taken in at submit, and put on the worker's disk before inference."""

from tasks_app.images.download import DownloadFailed
from tasks_app.images.formats import InvalidImage, validate
from tasks_app.images.on_disk import materialize

__all__ = ["DownloadFailed", "InvalidImage", "materialize", "validate"]
