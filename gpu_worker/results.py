"""From what an engine returned to what the control plane keeps: files into the artifact storage, text made storable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from gpu_worker.engine import protocol
from tasks_app import artifacts
from tasks_app.outcomes import Completed, Failed, Measured, Outcome, StoredArtifact
from tasks_app.retries import FailureCode

log = structlog.get_logger(__name__)


def measured(
    outcome: protocol.Completed | protocol.Failed | protocol.Cancelled, load_seconds: float | None
) -> Measured:
    usage = protocol.Usage() if isinstance(outcome, protocol.Failed) else outcome.usage
    return Measured(
        model_load_seconds=load_seconds,
        inference_seconds=outcome.inference_seconds,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        images=usage.images,
        audio_seconds=usage.audio_seconds,
        relief=outcome.relief,
    )


def with_measure(outcome: Failed, measure: Measured) -> Failed:
    return replace(outcome, measured=measure)


def failed(outcome: protocol.Failed, measure: Measured) -> Failed:
    return Failed(outcome.code, printable(outcome.message), outcome.param, printable(outcome.detail), measure)


def store(outcome: protocol.Completed, task_id: UUID, measure: Measured) -> Outcome:
    """Completed with its artifacts stored, or Failed if the storage does not take them."""
    stored: list[StoredArtifact] = []
    try:
        for file in outcome.files:
            stored.append(artifacts.store_file(Path(file.path), file.content_type, task_id))
    except OSError as error:
        artifacts.discard(artifact.file for artifact in stored)
        message = f"The result could not be stored: {error.strerror or error}."
        return Failed(FailureCode.ARTIFACT_STORE_FAILED, message, measured=measure)
    return Completed(printable(_linked(outcome.result, stored)), tuple(stored), measure)


def _linked(value: Any, stored: list[StoredArtifact]) -> Any:
    """{"file": 0, …} becomes {"artifact_id": "…", …}."""
    if isinstance(value, list):
        return [_linked(item, stored) for item in value]
    if isinstance(value, dict):
        link = {"artifact_id": str(stored[value["file"]].id)} if "file" in value else {}
        return link | {key: _linked(item, stored) for key, item in value.items() if key != "file"}
    return value


def printable(value: Any) -> Any:
    """PostgreSQL's jsonb holds neither NUL nor lone surrogates; a model may well produce them."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [printable(item) for item in value]
    if isinstance(value, dict):
        return {key: printable(item) for key, item in value.items()}
    return value
