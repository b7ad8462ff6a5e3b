"""Which files belong to a release: one function for manifest, package and updater.

Everything is in the release scope (models of any size too) but what runs, what the user made,
and litter. The decision reads the relative path only, so where the folder lies changes nothing.
"""

from __future__ import annotations

import enum
from functools import lru_cache

from bitstation.core.relpath import fold_key

MANIFEST_NAME = "manifest.json"
TEMPORARY_SUFFIX = ".bitstation-tmp"


class Scope(enum.Enum):
    """Who owns a file inside a tool folder; only RELEASE is ever touched by an update."""

    RELEASE = "release"
    RUNTIME = "runtime"
    USER = "user"
    LITTER = "litter"
    MANIFEST = "manifest"


# Folders that count at the top of the tool folder only.
_TOP_FOLDERS = {
    **dict.fromkeys(("venv", ".venv", "cache", "logs"), Scope.RUNTIME),
    **dict.fromkeys(("user_data", "output", "uploads"), Scope.USER),
}
# Folders that count at any depth.
_ANY_FOLDERS = {
    **dict.fromkeys(("__pycache__", "node_modules"), Scope.RUNTIME),
    **dict.fromkeys((".git", ".hg", ".svn", ".bzr", "cvs"), Scope.LITTER),
    **dict.fromkeys(
        (".spotlight-v100", ".trashes", ".fseventsd", "__macosx", "$recycle.bin"), Scope.LITTER
    ),
    "system volume information": Scope.LITTER,
}
_ANY_NAMES = {
    ".env": Scope.USER,
    **dict.fromkeys((".ds_store", "thumbs.db", "desktop.ini", ".directory"), Scope.LITTER),
    # A worktree or submodule has a file where a clone has a folder.
    ".git": Scope.LITTER,
}


def scope_of(path: str) -> tuple[Scope, str]:
    """Scope of a relative path (``/`` between names) and the rule that decided it."""
    names = fold_key(path).split("/")
    if len(names) == 1 and names[0] == MANIFEST_NAME:
        return Scope.MANIFEST, MANIFEST_NAME
    if len(names) > 1:
        scope, rule = folder_scope("/".join(names[:-1]))
        if scope is not Scope.RELEASE:
            return scope, rule
    return _name_scope(names[-1])


@lru_cache(maxsize=4096)
def folder_scope(path: str) -> tuple[Scope, str]:
    """Scope that a folder gives to everything below it; RELEASE when it decides nothing."""
    names = fold_key(path).split("/")
    if names[0] in _TOP_FOLDERS:
        return _TOP_FOLDERS[names[0]], names[0] + "/"
    for name in names:
        if name in _ANY_FOLDERS:
            return _ANY_FOLDERS[name], name + "/"
    return Scope.RELEASE, ""


def _name_scope(name: str) -> tuple[Scope, str]:
    if name in _ANY_NAMES:
        return _ANY_NAMES[name], name
    if name.endswith(".pyc"):
        return Scope.RUNTIME, "*.pyc"
    if name.endswith(".log"):
        return Scope.RUNTIME, "*.log"
    if name.startswith("config.local."):
        return Scope.USER, "config.local.*"
    if name.startswith("._"):
        return Scope.LITTER, "._*"
    # What a durable write leaves when the machine stops in the middle of it.
    if name.endswith(TEMPORARY_SUFFIX):
        return Scope.LITTER, "*" + TEMPORARY_SUFFIX
    return Scope.RELEASE, ""
