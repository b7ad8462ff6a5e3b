"""The grammar of paths, one a line: what passes is the same file everywhere, below the release."""

from __future__ import annotations

import ntpath
import posixpath
import unicodedata
from itertools import combinations
from pathlib import PureWindowsPath

from bitstation.core.relpath import collisions, fold_key, path_fault
from bitstation.core.scopes import scope_of


def check(data: bytes) -> bool:
    """Python's own ideas of POSIX and Windows paths agree, and twins never stand together."""
    paths = data.decode("utf-8", "surrogateescape").split("\n")[:8]
    safe = [path for path in paths if not _fault(path)]
    for path in safe:
        _hold(path)
    found = list(collisions(safe))
    for one, other in combinations(safe, 2):
        if _meet(one, other):
            assert found, (one, other)
    return bool(safe)


def _fault(path: str) -> str | None:
    scope_of(path)
    fold_key(path)
    list(collisions([path]))
    return path_fault(path)


def _hold(path: str) -> None:
    windows = path.replace("/", "\\")
    assert path.encode("utf-8")
    assert posixpath.normpath(path) == path
    assert not posixpath.isabs(path)
    assert ntpath.normpath(windows) == windows
    assert ntpath.splitdrive(windows)[0] == ""
    assert PureWindowsPath(path).parts == tuple(path.split("/"))
    assert not PureWindowsPath(path).is_reserved()
    assert not list(collisions([path]))
    twins = {path.upper(), path.lower(), path.casefold(), path.swapcase()}
    twins |= {unicodedata.normalize(form, path) for form in ("NFC", "NFD")}
    for twin in twins:
        assert list(collisions([path, twin])), twin


def _meet(one: str, other: str) -> bool:
    """Say whether two paths are the same, or one is a folder of the other, where case is naught."""
    one, other = fold_key(one), fold_key(other)
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")
