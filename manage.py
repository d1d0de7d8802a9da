#!/usr/bin/env python
"""Django's command line: `manage.py run_scheduler`, `bootstrap`, `check_orchestration`, and all of Django's own.

In a terminal beside `make run` it works on that Baton's servers.
"""

import os
import sys

from django.core.management import execute_from_command_line

from orchestrator.local import attach
from orchestrator.local.errors import StartError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    try:
        os.environ.update(attach.missing_settings(os.environ))
    except StartError as error:
        sys.exit(f"error: {error}")
    execute_from_command_line(sys.argv)
