"""What the OpenAPI document says of the calls for models and files."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from tasks_app.api.documents.base import DESCRIPTIONS, RESULTS, call, errors, query
from tasks_app.api.shapes import results as shapes
from tasks_app.api.shapes.tasks import Artifact
from workers_app.models import TaskType

BINARY = {(kind, "*/*"): OpenApiTypes.BINARY for kind in (200, 206)}
ARTIFACT_ID = OpenApiParameter("artifact_id", OpenApiTypes.UUID, OpenApiParameter.PATH)

list_models = call(
    operation_id="list_models",
    tags=[RESULTS],
    summary="The models that can be asked for",
    parameters=[query("task_type", enum=TaskType.values)],
    responses={200: shapes.ModelList, **errors(400)},
)
read_artifact = call(
    operation_id="read_artifact",
    tags=[RESULTS],
    summary="Download a file",
    parameters=[ARTIFACT_ID, OpenApiParameter("Range", str, OpenApiParameter.HEADER)],
    responses={
        **BINARY,
        304: OpenApiResponse(description="Not changed."),
        416: OpenApiResponse(description=DESCRIPTIONS[416]),
        **errors(404),
    },
)
store_artifact = call(
    operation_id="store_artifact",
    tags=[RESULTS],
    summary="Upload an image for later tasks",
    request={
        "multipart/form-data": inline_serializer("ImageUpload", {"file": serializers.FileField()}),
        "image/png": OpenApiTypes.BINARY,
        "image/jpeg": OpenApiTypes.BINARY,
        "image/webp": OpenApiTypes.BINARY,
        "image/gif": OpenApiTypes.BINARY,
    },
    responses={201: Artifact, **errors(400, 413, 415)},
)
