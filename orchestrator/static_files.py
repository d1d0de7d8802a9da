"""Assets of the pages, the admin and the API documents, served as they lie in the packages: no collectstatic needed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from servestatic import ServeStaticASGI

MAX_AGE = 60  # seconds; the names carry no hash, so an upgrade must show soon


def with_static_files(application: Any) -> ServeStaticASGI:
    """Found once, at start; what an earlier finder has hides what a later one has, as in Django."""
    serving = ServeStaticASGI(application, max_age=MAX_AGE, allow_all_origins=False)
    seen: set[str] = set()
    for finder in get_finders():
        for path, storage in finder.list(["*.md", "*.map"]):
            if path not in seen:
                seen.add(path)
                serving.add_file_to_dictionary(f"/{settings.STATIC_URL.strip('/')}/{path}", storage.path(path))
    return serving
