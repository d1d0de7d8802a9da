"""Django's admin of organizations, their members, keys and logins. A key is shown once, when it is made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from tenants_app import keys
from tenants_app.key_cache import key_cache
from tenants_app.models import ApiKey, Login, Membership, Organization
from tenants_app.roles import Scope

SCOPES = {
    Scope.READ: "tasks:read (look)",
    Scope.WRITE: "tasks:write (submit, cancel, retry, delete)",
    Scope.ADMIN: "admin (keys, members and webhook secrets of the organization)",
    Scope.OPERATE: "operate (workers, queues and models; only of staff)",
}


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    autocomplete_fields = ("user",)
    extra = 0


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("slug", "name", "requests_per_minute", "concurrency_limit", "queued_limit", "gpu_seconds_per_day",
                    "tokens_per_day", "created_at")  # fmt: skip
    search_fields = ("slug", "name")
    readonly_fields = ("created_at",)
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)
    fieldsets = (
        (None, {"fields": ("name", "slug", "created_at")}),
        ("Share", {"fields": ("weight",), "description": "Of the machines, while all of them are busy."}),
        ("Limits", {"fields": ("requests_per_minute", "concurrency_limit", "queued_limit", "gpu_seconds_per_day",
                               "tokens_per_day"),
                    "description": "Empty: no limit. A day is one of UTC. What the concurrency limit holds back waits; "
                                   "the other limits refuse, with 429."}),
    )  # fmt: skip

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its tasks and their accounting hang on it

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        key_cache.clear()


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        choices=[(str(scope), label) for scope, label in SCOPES.items()],
        initial=[str(Scope.READ), str(Scope.WRITE)],
        widget=forms.CheckboxSelectMultiple,
        help_text="Of what its user may do; a key without a user has what is ticked here, but never operates.",
    )

    class Meta:
        model = ApiKey
        fields = ("organization", "user", "name", "scopes", "allowed_models", "requests_per_minute", "expires_at")
        help_texts = {
            "user": "They must be a member or staff; the key dies with them. Empty: the organization's own key.",
            "allowed_models": "Names, with commas. Empty: all.",
            "requests_per_minute": "Empty: only the organization's limit.",
        }


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ApiKeyForm
    list_display = ("prefix", "name", "organization", "user", "may", "created_at", "last_used_at", "expires_at",
                    "revoked_at")  # fmt: skip
    list_filter = (("organization", admin.RelatedOnlyFieldListFilter), "revoked_at")
    search_fields = ("name", "prefix")
    autocomplete_fields = ("organization", "user")
    list_select_related = ("organization", "user")
    fields = ("organization", "user", "name", "scopes", "allowed_models", "requests_per_minute", "expires_at")
    actions = ("revoke", "rotate")

    @admin.display(description="scopes")
    def may(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        seen = ("prefix", "created_at", "last_used_at", "revoked_at", "previous_until")
        return ("organization", "user", *seen) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        seen = ("prefix", "created_at", "last_used_at", "revoked_at", "previous_until")
        return (*self.fields, *seen) if obj else self.fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # revoke it: what it did stays accounted for

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            key_cache.clear()
            return
        row, secret = keys.create(obj.organization, obj.name, obj.user, obj.expires_at, obj.scopes, obj.allowed_models,
                                  obj.requests_per_minute)  # fmt: skip
        vars(obj)["secret"] = secret
        obj.pk, obj.prefix = row.pk, row.prefix

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._show_once(request, obj, vars(obj)["secret"])

    def _show_once(self, request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
        """On a page that nobody keeps, not in a message, which may be a cookie."""
        context = {**self.admin_site.each_context(request), "title": "The new API key", "key": key, "secret": secret}
        return render(request, "admin/tenants_app/apikey/created.html", context)

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> None:
        for row in rows.filter(revoked_at=None):
            keys.revoke(row.pk)
            self.log_change(request, row, "revoked")
            self.message_user(request, f"{row}: revoked.", messages.SUCCESS)

    @admin.action(description="Give the selected key a new secret, now", permissions=["change"])
    def rotate(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> HttpResponse | None:
        """One at a time, because it is shown once. With a time of grace it is the API's."""
        chosen = list(rows[:2])
        secret = keys.rotate(chosen[0]) if len(chosen) == 1 else None
        if secret is None:
            self.message_user(request, "Select one key that is not revoked.", messages.ERROR)
            return None
        self.log_change(request, chosen[0], "rotated")
        return self._show_once(request, chosen[0], secret)


@admin.register(Login)
class LoginAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Deleting one signs that person out."""

    list_display = ("user", "organization", "created_at", "expires_at")
    list_select_related = ("user", "organization")
    search_fields = ("user__username",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
