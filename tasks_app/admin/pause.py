"""Pauses in the admin: who stopped what and why. Adding and removing go through `pausing`, as the API does."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from tasks_app import pausing
from tasks_app.models import Pause, PauseKind


class PauseForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Pause
        fields = ("kind", "name", "reason", "until")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("kind") and given.get("name"):
            try:
                pausing.refuse_unknown(PauseKind(given["kind"]), given["name"])
            except pausing.NothingToPause as error:
                raise forms.ValidationError({"name": str(error)}) from None
        return given


@admin.register(Pause)
class PauseAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """There is nothing to change in a pause: resume it (delete) and pause again."""

    form = PauseForm
    list_display = ("kind", "name", "by", "reason", "at", "until")
    list_filter = ("kind",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        row = pausing.pause(PauseKind(obj.kind), obj.name, request.user.get_username(), obj.reason, obj.until)
        obj.pk, obj.by, obj.at = row.pk, row.by, row.at

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        pausing.resume(PauseKind(obj.kind), obj.name, request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        for pause in queryset:
            self.delete_model(request, pause)
