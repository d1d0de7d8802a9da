"""`manage.py collect_orphans`: remove stored files that no row names, as the scheduler does a little at a time."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from tasks_app import orphans


class Command(BaseCommand):
    help = "Remove files of the artifact storage that no row names; crashes leave such files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = orphans.SAFE_AGE.total_seconds()
        parser.add_argument(
            "--older-than",
            type=float,
            default=default,
            metavar="SECONDS",
            help=f"leave younger files alone, whose rows may come yet (default {default:g})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        age = timedelta(seconds=options["older_than"])
        removed = sum(orphans.sweep(folder, age) for folder in orphans.FOLDERS)
        self.stdout.write(f"removed {removed} files")
