"""What changes between two releases, by content: a moved file is a move, not a download."""

from __future__ import annotations

import msgspec

from bitstation.core.manifest import Entry, Manifest


class ReleaseDiff(msgspec.Struct, frozen=True):
    """Rows of the target that are new, kept or moved, and paths of the base that go away."""

    changed: tuple[Entry, ...]
    unchanged: tuple[Entry, ...]
    moved: tuple[tuple[str, Entry], ...]
    deleted: tuple[str, ...]

    @property
    def download_bytes(self) -> int:
        """Bytes that a worker on the base lacks; the same content twice is counted once."""
        return sum({entry.sha256: entry.size for entry in self.changed}.values())


def diff_manifests(base: Manifest | None, target: Manifest) -> ReleaseDiff:
    """Compare by digest. ``changed`` holds every target row whose content the base lacks."""
    base_by_path = {entry.path: entry for entry in base.entries} if base else {}
    path_by_digest: dict[str, str] = {}
    for entry in base_by_path.values():
        path_by_digest.setdefault(entry.sha256, entry.path)
    changed, unchanged, moved = [], [], []
    for entry in target.entries:
        here = base_by_path.get(entry.path)
        if here is not None and here.sha256 == entry.sha256:
            unchanged.append(entry)
        elif entry.sha256 in path_by_digest:
            moved.append((path_by_digest[entry.sha256], entry))
        else:
            changed.append(entry)
    return ReleaseDiff(tuple(changed), tuple(unchanged), tuple(moved), deleted_paths(base, target))


def deleted_paths(base: Manifest | None, target: Manifest) -> tuple[str, ...]:
    """Paths of the base that the target no longer has, in the order of the base."""
    kept = {entry.path for entry in target.entries}
    return tuple(entry.path for entry in base.entries if entry.path not in kept) if base else ()
