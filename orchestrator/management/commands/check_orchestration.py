"""`manage.py check_orchestration`: does a running Baton do its job? Over HTTP only; exit status 0, 1 or 2."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestrator.check import command


class Command(BaseCommand):
    help = command.DESCRIPTION
    requires_system_checks = []  # they would want a database

    def add_arguments(self, parser: CommandParser) -> None:
        command.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(command.run(argparse.Namespace(**options), sys.stdout, os.environ))
