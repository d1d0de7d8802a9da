"""What the OpenAPI document says of the calls on keys, members and tokens."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from tasks_app.api.documents.base import Decorator, call, errors, query
from tasks_app.api.shapes import access as shapes
from tasks_app.api.shapes.base import Error
from tasks_app.schemas import access as bodies
from tasks_app.schemas.strict import Strict

ACCESS = "organization and access"
KEY_ID = OpenApiParameter("key_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
USERNAME = OpenApiParameter("username", str, OpenApiParameter.PATH)

list_keys = call(
    operation_id="list_api_keys",
    tags=[ACCESS],
    summary="Your organization's API keys, newest first",
    parameters=[query("revoked", bool, "Revoked ones too.")],
    responses={200: shapes.ApiKeyList, **errors(400)},
)
make_key = call(
    operation_id="make_api_key",
    tags=[ACCESS],
    summary="Make an API key; its secret is shown this one time",
    description="It belongs to you, and grants no more than you have.",
    request=bodies.KeyRequest,
    responses={201: shapes.NewApiKey, **errors(400, 413, 415)},
)
revoke_key = call(
    operation_id="revoke_api_key",
    tags=[ACCESS],
    summary="Revoke an API key, for good",
    parameters=[KEY_ID],
    responses={204: None, **errors(400, 404)},
)
rotate_key = call(
    operation_id="rotate_api_key",
    tags=[ACCESS],
    summary="Give an API key a new secret",
    parameters=[KEY_ID],
    request=bodies.RotateRequest,
    responses={
        200: shapes.NewApiKey,
        **errors(400, 404, 413, 415),
        409: OpenApiResponse(Error, "It is revoked, or was rotated at the same moment."),
    },
)
read_organization = call(
    operation_id="read_organization",
    tags=[ACCESS],
    summary="Your organization, its limits, and what you may do in it",
    responses={200: shapes.Organization, **errors(400)},
)
list_members = call(
    operation_id="list_members",
    tags=[ACCESS],
    summary="The members of your organization",
    responses={200: shapes.MemberList, **errors(400)},
)
add_member = call(
    operation_id="add_member",
    tags=[ACCESS],
    summary="Make an existing user a member",
    request=bodies.MemberRequest,
    responses={
        201: shapes.Member,
        **errors(400, 404, 413, 415),
        409: OpenApiResponse(Error, "They are a member already."),
    },
)
LAST_ADMIN = OpenApiResponse(Error, "They are the last admin of the organization.")
change_member = call(
    operation_id="change_member",
    tags=[ACCESS],
    summary="Change the role of a member",
    parameters=[USERNAME],
    request=bodies.RoleRequest,
    responses={200: shapes.Member, **errors(400, 404, 413, 415), 409: LAST_ADMIN},
)
remove_member = call(
    operation_id="remove_member",
    tags=[ACCESS],
    summary="Remove a member; their keys and tokens here are good no more",
    parameters=[USERNAME],
    responses={204: None, **errors(400, 404), 409: LAST_ADMIN},
)


def _tokens(operation_id: str, summary: str, description: str, body: type[Strict]) -> Decorator:
    refused = OpenApiResponse(Error, "It is not right, or good no more.")
    answers = {code: answer for code, answer in errors(400, 413, 415).items() if code != 403}
    return call(
        operation_id=operation_id,
        tags=[ACCESS],
        summary=summary,
        description=description,
        auth=[],
        request=body,
        responses={200: shapes.Tokens, **answers, 401: refused},
    )


sign_in = _tokens(
    "sign_in",
    "Sign in with name and password, for tokens",
    "Tries are limited to 10 a minute for each name, and 60 for each address.",
    bodies.TokenRequest,
)
refresh = _tokens(
    "refresh_token",
    "New tokens for a refresh token, which is good for one use",
    "A refresh token that is used a second time signs out whoever holds the newer ones.",
    bodies.RefreshRequest,
)
