"""What adopted files lend to releases, and on which terms: their owner's files are never changed.

Their bytes are cloned or copied. A hard link makes the file read-only and lets it share the fate
of the release's, so it is made only where the owner said so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from bitstation import host
from bitstation.core.adopted import Adopted
from bitstation.core.blockmap import BlockMap
from bitstation.core.digest import Digest
from bitstation.storage.adopted import adopted_files, adopted_map, path_of
from bitstation.worker.run import Run


def lent_files(run: Run, wanted: Collection[Digest]) -> dict[Digest, list[Path]]:
    """Adopted files that may still hold a wanted content: none is proved yet.

    One whose size has changed is not worth reading.
    """
    found: dict[Digest, list[Path]] = {}
    for row in _rows(run) if wanted else ():
        if row.sha256 in wanted and row.size == _size_of(path_of(row)):
            found.setdefault(row.sha256, []).append(path_of(row))
    return found


def lent_maps(run: Run) -> Iterator[BlockMap]:
    """Block maps of adopted models that may still be what they were, each content once.

    Cost: about 1 microsecond a block of each map that is taken.
    """
    seen: set[Digest] = set()
    for row in _rows(run):
        if row.sha256 not in seen and row.size == _size_of(path_of(row)):
            seen.add(row.sha256)
            if blockmap := adopted_map(run.root, row.sha256):
                yield blockmap


def linked_names(run: Run, wanted: Collection[Digest]) -> dict[Digest, list[Path]]:
    """Names outside the root that may share a file of it: of adopted files that allow links."""
    found: dict[Digest, list[Path]] = {}
    for row in _rows(run) if wanted else ():
        if row.link and row.sha256 in wanted:
            found.setdefault(row.sha256, []).append(path_of(row))
    return found


class Lending:
    """The terms on which local files serve a release: read when the work begins."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._linkable = {path_of(row) for row in _rows(run) if row.link}
        self._may_clone: dict[int, bool] = {}

    def may_link(self, source: Path) -> bool:
        """Say whether a file may get a second name: those of this root, and who allows it.

        An adopted file that does is durable then: nobody else may have synced it yet.
        """
        if self._is_ours(source):
            return True
        try:
            facts = host.stat_facts(source)
            allowed = self._allows_link(source, facts)
            if allowed and facts.is_writable:
                self._run.disk.sync_path(source)
        except OSError:
            return False
        return allowed

    def copied(self, held: Mapping[Digest, list[Path]]) -> frozenset[Digest]:
        """Contents whose local file shares nothing with a release: they take space anew."""
        return frozenset(digest for digest, paths in held.items() if not self._shares(paths[0]))

    def _shares(self, source: Path) -> bool:
        """Say whether a file will be cloned or linked rather than copied, as far as can be told."""
        if self._is_ours(source):
            return True
        try:
            facts = host.stat_facts(source)
            here = host.stat_facts(self._run.tree.control).volume
            if facts.volume == here and self._allows_link(source, facts):
                return True
        except OSError:
            return False
        if facts.volume not in self._may_clone:
            self._may_clone[facts.volume] = self._can_clone(source)
        return self._may_clone[facts.volume]

    def _allows_link(self, source: Path, facts: host.StatFacts) -> bool:
        """Say whether the owner does, and whether we could make it read-only."""
        return source in self._linkable and (not facts.is_writable or host.may_set_mode(source))

    def _is_ours(self, source: Path) -> bool:
        return self._run.root.path in source.parents

    def _can_clone(self, source: Path) -> bool:
        """Try it: a clone costs nothing where the volume can, and nothing where it cannot."""
        run, probe = self._run, self._run.tree.control / "probe"
        try:
            with source.open("rb", 0) as reader, run.disk.open_new(probe, replace=True) as writer:
                return run.disk.clone(reader, writer)
        except OSError:
            return False
        finally:
            run.disk.remove(probe)


def _rows(run: Run) -> list[Adopted]:
    """Adopted files; a record that cannot be read is none, for an update goes without it."""
    try:
        return adopted_files(run.root)
    except OSError:
        return []


def _size_of(path: Path) -> int | None:
    try:
        facts = host.stat_facts(path)
    except OSError:
        return None
    return facts.size if facts.is_file else None
