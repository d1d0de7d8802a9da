"""Brings the database up to date: migrations, then Baton's own first rows, in one process of its own.

Run by `stack` before anything that uses the tables. The same as `manage.py migrate` and `manage.py bootstrap`; a second
process would make each start a second longer.
"""

import os

import django
from django.core.management import call_command

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("bootstrap")
