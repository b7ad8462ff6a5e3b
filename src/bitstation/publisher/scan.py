"""Every file of a tool folder: what belongs to the release, what stays out and why, what is wrong.

Faults are gathered, never raised: a publisher mends them all before the next run.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bitstation import host
from bitstation.core.manifest import MAX_ENTRIES
from bitstation.core.relpath import collisions, path_fault
from bitstation.core.scopes import Scope, folder_scope, scope_of
from bitstation.core.toolfile import TOOL_FILE_NAME


class FoundFile(NamedTuple):
    """A file of the release scope; ``path`` is relative, with ``/``."""

    path: str
    file: Path
    size: int


class LeftOut(NamedTuple):
    """A file, or a folder with all in it (``path`` ends with ``/``), that does not ship."""

    path: str
    reason: str
    """The scope whose it is and the rule that says so, as in ``runtime (venv/)``."""


class Inventory(msgspec.Struct, frozen=True):
    """What stands in a tool folder. ``files`` are sorted by path (code points)."""

    root: Path
    files: tuple[FoundFile, ...]
    left_out: tuple[LeftOut, ...]
    faults: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        """Paths of the release, in order."""
        return [found.path for found in self.files]


class _Place(NamedTuple):
    """A folder being read.

    ``checked`` is its path with faulty names replaced, so that a fault of a folder is told once
    and what lies below is still judged by itself.
    """

    folder: Path
    path: str
    checked: str


def tool_folders(parent: Path) -> list[Path]:
    """Folders in ``parent`` that hold a tool.json, sorted by name. Raises OSError."""
    return sorted(path.parent for path in parent.glob(f"*/{TOOL_FILE_NAME}"))


def scan_tool(root: Path) -> Inventory:
    """Inventory of a tool folder. Links are never followed. Cost: one stat a file."""
    scan = _Scan()
    folder = host.native_path(root.absolute())
    pending = [_Place(folder, "", "")]
    while pending:
        pending.extend(scan.read(pending.pop()))
    files = sorted(scan.files)
    if len(files) > MAX_ENTRIES:
        scan.faults.append(f"{len(files)} files: a release has at most {MAX_ENTRIES}")
    scan.faults.extend(collisions(found.path for found in files))
    return Inventory(
        root=folder,
        files=tuple(files),
        left_out=tuple(sorted(scan.left_out)),
        faults=tuple(sorted(scan.faults)),
    )


class _Scan:
    def __init__(self) -> None:
        self.files: list[FoundFile] = []
        self.left_out: list[LeftOut] = []
        self.faults: list[str] = []

    def read(self, place: _Place) -> Iterator[_Place]:
        """Take in one folder; gives the folders below it."""
        try:
            with os.scandir(place.folder) as entries:
                found = list(entries)
        except OSError as error:
            self.faults.append(f"{place.path or './'!r} cannot be read: {error.strerror}")
            return
        if not found and place.path:
            self.left_out.append(LeftOut(place.path, "empty folder"))
        for entry in found:
            below = self._take(entry, place)
            if below is not None:
                yield below

    def _take(self, entry: os.DirEntry[str], place: _Place) -> _Place | None:
        path = place.path + entry.name
        is_link = host.is_link(Path(entry.path))
        is_folder = not is_link and entry.is_dir(follow_symlinks=False)
        scope, rule = _scope(path, is_folder, is_link)
        if scope is not Scope.RELEASE:
            self.left_out.append(LeftOut(path + "/" * is_folder, f"{scope.value} ({rule})"))
            return None
        fault = path_fault(place.checked + entry.name)
        if fault:
            self.faults.append(f"{path[:120]!r}: {fault}")
        if is_folder:
            name = "_" if fault else entry.name
            return _Place(Path(entry.path), path + "/", place.checked + name + "/")
        if is_link:
            self.faults.append(f"{path!r} is a link: a release holds plain files only")
            return None
        self._take_file(entry, path)
        return None

    def _take_file(self, entry: os.DirEntry[str], path: str) -> None:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError as error:
            self.faults.append(f"{path!r} cannot be read: {error.strerror}")
            return
        if stat.S_ISREG(found.st_mode) and not os.access(entry.path, os.R_OK):
            self.faults.append(f"{path!r} cannot be read: this user may not")
        if not stat.S_ISREG(found.st_mode):
            self.faults.append(f"{path!r} is a pipe, socket or device: a release holds plain files")
            return
        self.files.append(FoundFile(path, Path(entry.path), found.st_size))


def _scope(path: str, is_folder: bool, is_link: bool) -> tuple[Scope, str]:
    if is_folder or is_link:
        scope, rule = folder_scope(path)
        # A link named venv or output is the publisher's own affair, as a folder of that name is.
        if is_folder or scope is not Scope.RELEASE:
            return scope, rule
    return scope_of(path)
