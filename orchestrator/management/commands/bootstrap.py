"""`manage.py bootstrap`: what a fresh database needs before anybody can work; safe to run at every start."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from tenants_app import keys
from tenants_app.models import Membership, Organization, Role
from workers_app import catalogue

OPERATOR = "operator"
ORGANIZATION = "default"


class Command(BaseCommand):
    help = (
        "Sync the model catalogue from MODELS_FILE; on the first start also make the operator, their organization "
        "and an API key, and keep them in DATA_DIR/credentials.json (mode 0600)."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            synced = catalogue.sync()
        except catalogue.CatalogueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"catalogue: {synced.kept} models, {synced.disabled} newly disabled")
        path = settings.DATA_DIR / "credentials.json"
        credentials = json.loads(path.read_text()) if path.exists() else {}
        if not get_user_model().objects.filter(is_superuser=True).exists():
            credentials = self._first_start()
        if not credentials:
            self.stdout.write(f"{path} is gone; the operator exists: use `manage.py changepassword {OPERATOR}`")
            return
        _write(path, {**credentials, "url": settings.BASE_URL})

    @transaction.atomic
    def _first_start(self) -> dict[str, str]:
        password = secrets.token_urlsafe(12)
        user = get_user_model().objects.create_superuser(OPERATOR, email="", password=password)
        organization, _ = Organization.objects.get_or_create(slug=ORGANIZATION, defaults={"name": "Default"})
        Membership.objects.create(organization=organization, user=user, role=Role.ADMIN)
        _, api_key = keys.create(organization, name="first key", user=user)
        self.stdout.write(f"made operator {OPERATOR!r}, organization {ORGANIZATION!r} and an API key")
        return {"username": OPERATOR, "password": password, "api_key": api_key}


def _write(path: Path, credentials: dict[str, str]) -> None:
    """Whole or not at all, and never readable by others."""
    ordered = {name: credentials[name] for name in ("url", "username", "password", "api_key")}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        json.dump(ordered, handle, indent=2)
    draft.replace(path)
