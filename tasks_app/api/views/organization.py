"""/organization/: the caller's own organization and its members."""

from __future__ import annotations

from typing import Any

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app.api import query
from tasks_app.api.access import identity_of
from tasks_app.api.documents import access as documents
from tasks_app.api.errors import NotFound
from tasks_app.schemas.access import MEMBER_REQUEST, ROLE_REQUEST
from tenants_app import members
from tenants_app.models import Membership, Organization
from tenants_app.roles import Role, Scope

LIMITS = ("requests_per_minute", "concurrency_limit", "queued_limit", "gpu_seconds_per_day", "tokens_per_day")


def rendered(member: Membership) -> dict[str, Any]:
    return {
        "username": member.user.get_username(),
        "role": member.role,
        "is_active": member.user.is_active,
        "created_at": member.created_at,
    }


class OrganizationView(APIView):
    @documents.read_organization
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        identity = identity_of(request)
        organization = Organization.objects.get(pk=identity.organization.pk)
        return Response(
            {
                "slug": organization.slug,
                "name": organization.name,
                "created_at": organization.created_at,
                "limits": {name: getattr(organization, name) for name in LIMITS},
                "you": {"username": identity.username, "role": identity.role, "scopes": sorted(identity.scopes)},
            }
        )


class MembersView(APIView):
    needs = Scope.ADMIN

    @documents.list_members
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        return Response({"results": [rendered(row) for row in members.list_of(identity_of(request).organization)]})

    @documents.add_member
    def post(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        asked = MEMBER_REQUEST.run_validation(request.data)
        row = members.add(identity_of(request).organization, asked["username"], Role(asked["role"]))
        row.refresh_from_db(fields=["created_at"])
        return Response(rendered(row), status=status.HTTP_201_CREATED)


class MemberView(APIView):
    needs = Scope.ADMIN

    @documents.change_member
    def patch(self, request: Request, username: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        member = _member_or_404(request, username)
        members.change_role(member, Role(ROLE_REQUEST.run_validation(request.data)["role"]))
        return Response(rendered(member))

    @documents.remove_member
    def delete(self, request: Request, username: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        members.remove(_member_or_404(request, username))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _member_or_404(request: Request, username: str) -> Membership:
    member = members.find(identity_of(request).organization, username)
    if member is None:
        raise NotFound(f"{username} is no member of your organization.")
    return member
