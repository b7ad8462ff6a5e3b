"""Things of others, planted where ours belong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.testing.memory_source import Asked, MemorySource
from bitstation.testing.releases import make_release
from tests.attack.machine import FILES, NEW
from tests.attack.updates import MODEL, release_of
from tests.engine.test_links_refused import make_link

PLACES = [".bitstation", "releases", "releases/.staging", "releases/v1.1.0"]
"""Folders that are ours alone."""

LATER = make_release(NEW.files | {"main.py": b"print(3)\n"}, "1.2.0")
# In this order they are fetched; the last is copied from the release before.
RACED = make_release({"a.py": b"a", "lib/b.py": b"b", "lib/x.py": FILES["lib/x.py"]}, "1.1.0")
FRESH = release_of({"model.bin": MODEL[::-1], "run.py": b"print(2)"}, "1.1.0")


def acting(source: MemorySource, digest: Digest, act: Callable[[], None]) -> MemorySource:
    """The source; when it is first asked for a content, something is done before it answers."""
    acts = [act]

    def look(asked: Asked) -> None:
        if asked.digest == digest and acts:
            acts.pop()()

    source.before_open = look
    return source


def plant(place: Path, target: Path) -> None:
    """A link in place of whatever is there."""
    if place.is_dir() and not host.is_link(place):
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    make_link(place, target)
