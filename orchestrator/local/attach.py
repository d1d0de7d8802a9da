"""For `manage.py` beside a running Baton: the settings that the start made for this DATA_DIR, where none are given.

Called by `manage.py`. Starts nothing and writes nothing.
"""

import secrets
from collections.abc import Mapping

from orchestrator.local import configuration, places, postgres, valkey


def missing_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What neither the environment nor `.env` says.

    Raises:
        StartError: a value makes no sense; the message names it.
    """
    given = configuration.read(environ)
    here = places.locate(given.data_dir)
    missing = {"DATA_DIR": str(given.data_dir)}
    if not given.database_is_external:
        missing |= postgres.address(here.postgres_sockets)
    if not given.broker_is_external:
        missing |= valkey.addresses(here.broker_sockets)
    if not given.environment.get("SECRET_KEY"):
        key = here.data_dir / "secret_key"
        # Before the first start there is none, and nothing that was signed with one.
        missing["SECRET_KEY"] = key.read_text(encoding="ascii") if key.exists() else secrets.token_urlsafe(50)
    return missing
