"""Django's admin of organizations, their members and their keys. A key is shown once, when it is made."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from tenants_app import keys
from tenants_app.authentication import key_cache
from tenants_app.models import ApiKey, Membership, Organization


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    autocomplete_fields = ("user",)
    extra = 0


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("slug", "name", "created_at")
    search_fields = ("slug", "name")
    readonly_fields = ("created_at",)
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its tasks and their accounting hang on it


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("prefix", "name", "organization", "user", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_filter = (("organization", admin.RelatedOnlyFieldListFilter), "revoked_at")
    search_fields = ("name", "prefix")
    list_select_related = ("organization", "user")
    fields = ("organization", "user", "name", "expires_at")
    actions = ("revoke",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        seen = ("prefix", "created_at", "last_used_at", "revoked_at")
        return ("organization", "user", *seen) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.fields, "prefix", "created_at", "last_used_at", "revoked_at") if obj else self.fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # revoke it: what it did stays accounted for

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            key_cache.clear()
            return
        row, secret = keys.create(obj.organization, obj.name, obj.user, obj.expires_at)
        vars(obj)["secret"] = secret
        obj.pk, obj.prefix = row.pk, row.prefix

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The one time that the key is shown: on a page that nobody keeps, not in a message, which may be a cookie."""
        context = {**self.admin_site.each_context(request), "title": "The new API key"}
        context |= {"key": obj, "secret": vars(obj)["secret"]}
        return render(request, "admin/tenants_app/apikey/created.html", context)

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> None:
        for row in rows.filter(revoked_at=None):
            ApiKey.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
            self.log_change(request, row, "revoked")
            self.message_user(request, f"{row}: revoked.", messages.SUCCESS)
        key_cache.clear()
