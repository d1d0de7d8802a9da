"""The OpenAPI document, generated from the views once per process and served as JSON or YAML."""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]
    target_class = "tenants_app.authentication.ApiKeyAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer baton_…`"}


class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]
    target_class = "tenants_app.authentication.AccessTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        described = "An access token of POST /auth/token/: `Authorization: Bearer eyJ…`"
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": described}


class OperatorSessionScheme(SessionScheme):  # type: ignore[misc]
    target_class = "tenants_app.authentication.OperatorSessionAuthentication"
    name = "session"


class StrictObject(OpenApiSerializerExtension):  # type: ignore[misc]
    target_class = "tasks_app.schemas.strict.Strict"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


class StrictField(OpenApiSerializerFieldExtension):  # type: ignore[misc]
    """The bounds that DRF has no words for."""

    target_class = "tasks_app.schemas.strict.Bounded"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        field = copy(self.target)
        field.allow_null = False  # said by the caller, and not twice
        schema: dict[str, Any] = auto_schema._map_serializer_field(field, direction, bypass_extensions=True)
        return {**schema, **field.openapi}


@cache
def document() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


class SchemaView(SpectacularAPIView):  # type: ignore[misc]
    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer]

    def _get_schema_response(self, request: Request) -> Response:
        return Response(document())
