"""Where Baton is and who asks: arguments, then the environment, then the file that the first `make run` wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from baton_client.errors import NoCredentials

HOW = "Set BATON_URL and BATON_API_KEY, or run this where `make run` keeps .data/credentials.json."


@dataclass(frozen=True, slots=True)
class Credentials:
    url: str
    api_key: str = field(repr=False)
    source: str  # for people: where the key came from


def find(
    url: str | None = None,
    api_key: str | None = None,
    environment: Mapping[str, str] = os.environ,
    directory: Path | None = None,
) -> Credentials:
    """`directory` and those above it are searched for .data/credentials.json; DATA_DIR names another place.

    Raises NoCredentials. A key from the file is never sent to another address than the file's own.
    """
    url = url or environment.get("BATON_URL")
    key = api_key or environment.get("BATON_API_KEY")
    source = "the argument" if api_key else "BATON_API_KEY"
    path = _path(environment, directory or Path.cwd())
    if (not url or not key) and path is not None:
        kept = _read(path)
        url = url or kept["url"]
        if not key and url.rstrip("/") == kept["url"].rstrip("/"):
            key, source = kept["api_key"], str(path)
    if not url:
        raise NoCredentials(f"Where is Baton? {HOW}")
    if not url.startswith(("http://", "https://")):
        raise NoCredentials(f"BATON_URL must begin with http:// or https://, and is {url!r}.")
    if not key:
        raise NoCredentials(f"There is no API key for {url}. {HOW}")
    if not (key.isascii() and key.isprintable()):
        raise NoCredentials("The API key must be printable ASCII; is there a line break or a quotation mark in it?")
    return Credentials(url.rstrip("/"), key, source)


def _path(environment: Mapping[str, str], directory: Path) -> Path | None:
    if environment.get("DATA_DIR"):
        candidates = [Path(environment["DATA_DIR"])]
    else:
        candidates = [each / ".data" for each in (directory, *directory.parents)]
    paths = (each / "credentials.json" for each in candidates)
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {"url": str(kept["url"]), "api_key": str(kept["api_key"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoCredentials(f"{path} cannot be used: {error}") from None
