"""Files worth adopting: plain, large enough, found below folders without following a link."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bitstation import host
from bitstation.core.adopted import MAX_ADOPTED
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.storage.hashing import Stop

DEFAULT_MIN_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NAMES = 2_000_000
"""Names looked at in all: a folder tree of models has thousands."""

# Downloads under way, by the names that browsers, huggingface_hub and Ollama give them.
_UNFINISHED = (".incomplete", ".part", ".partial", "-partial", ".crdownload", TEMPORARY_SUFFIX)


class FoundFile(NamedTuple):
    """A file to adopt: its path, and what the file system says of it."""

    path: Path
    facts: host.StatFacts


class LeftOut(NamedTuple):
    """A path that was not looked at and should have been; ``why`` is a word, or the system's."""

    path: str
    why: str


class Findings(msgspec.Struct, frozen=True):
    """What a search found; ``links`` and ``volumes`` are what it did not go into on purpose."""

    files: tuple[FoundFile, ...]
    left_out: tuple[LeftOut, ...]
    links: int
    volumes: tuple[str, ...]


class _Place(NamedTuple):
    folder: Path
    depth: int
    device: int


def search(
    paths: Iterable[Path],
    *,
    own: Path,
    min_bytes: int = DEFAULT_MIN_BYTES,
    stop: Stop | None = None,
) -> Findings:
    """Files at and below ``paths``, sorted; of several names of one file the first.

    A path that is itself a link means what it leads to; below it no link is followed, and no other
    volume entered. ``own``: the tools root, whose files are held anyway. Nothing is opened.
    Raises OSError where a path leads nowhere, UpdateCancelled. Cost: a stat a file.
    """
    walk = _Walk(own, min_bytes, stop or Stop())
    for path in paths:
        walk.begin(path.resolve(strict=True))
    files: dict[tuple[int, int], FoundFile] = {}
    for found in sorted(walk.files):
        files.setdefault(found.facts.identity, found)
    return Findings(
        tuple(files.values()), tuple(walk.left_out), walk.links, tuple(sorted(walk.volumes))
    )


class _Walk:
    def __init__(self, own: Path, min_bytes: int, stop: Stop) -> None:
        self.files: list[FoundFile] = []
        self.left_out: list[LeftOut] = []
        self.links = 0
        self.volumes: set[str] = set()
        self._min_bytes = min_bytes
        self._stop = stop
        self._own = host.native_path(own.resolve())
        self._names = 0
        self._is_full = False

    def begin(self, path: Path) -> None:
        """Take in a file, or a folder and all below it."""
        if path.is_dir():
            device = host.native_path(path).stat().st_dev
            pending = [_Place(path, 0, device)]
            while pending and not self._is_full:
                self._stop.check()
                pending.extend(self._read(pending.pop()))
        else:
            self._take(path)

    def _read(self, place: _Place) -> Iterator[_Place]:
        """Take in one folder; gives the folders below it."""
        if host.native_path(place.folder) == self._own:
            return
        try:
            with os.scandir(host.native_path(place.folder)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._leave(place.folder, error)
            return
        for entry in found:
            self._names += 1
            if self._names > MAX_NAMES or len(self.files) > MAX_ADOPTED:
                self._is_full = True
                self.left_out.append(LeftOut(str(place.folder), "too-many"))
                return
            try:
                below = self._look(entry, place)
            except OSError as error:
                self._leave(place.folder / entry.name, error)
                continue
            if below is not None:
                yield below

    def _look(self, entry: os.DirEntry[str], place: _Place) -> _Place | None:
        path = place.folder / entry.name
        if host.is_link(Path(entry.path)):
            self.links += 1
        elif entry.is_dir(follow_symlinks=False):
            return self._below(path, Path(entry.path), place)
        elif entry.stat(follow_symlinks=False).st_size >= self._min_bytes:
            self._take(path)
        return None

    def _below(self, path: Path, native: Path, place: _Place) -> _Place | None:
        if native.stat().st_dev != place.device:
            self.volumes.add(str(path))
        elif place.depth >= MAX_DEPTH:
            self.left_out.append(LeftOut(str(path), "too-deep"))
        else:
            return _Place(path, place.depth + 1, place.device)
        return None

    def _take(self, path: Path) -> None:
        if path.name.lower().endswith(_UNFINISHED):
            return
        if not _is_text(str(path)):
            self.left_out.append(LeftOut(ascii(str(path)), "name"))
            return
        native = host.native_path(path)
        facts = host.stat_facts(native)
        if facts.is_file and facts.size >= self._min_bytes and self._own not in native.parents:
            self.files.append(FoundFile(path, facts))

    def _leave(self, path: Path, error: OSError) -> None:
        self.left_out.append(LeftOut(str(path), error.strerror or "unreadable"))


def _is_text(path: str) -> bool:
    """Say whether a path can be written down: some systems allow names that are no Unicode."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
