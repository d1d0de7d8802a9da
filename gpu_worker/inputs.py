"""What must lie on disk before the engine starts: the image of an image-to-text task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db import connection

from tasks_app import images
from tasks_app.retries import FailureCode
from tasks_app.transitions import Claimed


class PreparationFailed(Exception):
    def __init__(self, code: FailureCode, message: str, param: str) -> None:
        super().__init__(message)
        self.code, self.param = code, param


def prepare_input(claimed: Claimed, directory: Path) -> dict[str, Any]:
    """The input with `image` replaced by a local path below `directory`."""
    image = claimed.input.get("image")
    if image is None:
        return claimed.input
    try:
        path = images.materialize(image, claimed.organization_id, directory)
    except images.DownloadFailed as error:
        raise PreparationFailed(FailureCode.DOWNLOAD_FAILED, str(error), "input.image") from error
    except images.InvalidImage as error:
        raise PreparationFailed(FailureCode.INVALID_INPUT, str(error), "input.image") from error
    finally:
        connection.close()  # none is held while the inference runs
    return {**claimed.input, "image": str(path)}
