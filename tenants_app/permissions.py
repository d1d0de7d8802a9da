"""DRF's permission for every view: each verb needs a scope."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from tenants_app.identity import Identity
from tenants_app.roles import Scope


class RolePermission(BasePermission):
    """A view that says nothing is read with READ and written with WRITE, so a new one is never open by accident.

    `needs` on a view is a scope, or scopes by verb for those of its verbs that need another than the usual one.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """False asks who is nobody to sign in. Raises NotPermitted."""
        if not isinstance(request.user, Identity):
            return False
        request.user.require(needed(view, request.method or "GET"))
        return True


def needed(view: Any, method: str) -> Scope:
    usual = Scope.READ if method in SAFE_METHODS else Scope.WRITE
    needs: Scope | dict[str, Scope] = getattr(view, "needs", usual)
    return needs.get(method, usual) if isinstance(needs, dict) else needs
