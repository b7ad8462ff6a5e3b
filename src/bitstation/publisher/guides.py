"""Guides and packs of a release that is being published: from what the destination has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bitstation.codec.guiding import Papers
from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Manifest
from bitstation.core.names import is_older, version_key
from bitstation.core.wire import BlobRef, GuideRef
from bitstation.errors import DigestMismatch, ManifestError, NotFound, SourceBroken
from bitstation.publisher.cache import cache_dir, locked
from bitstation.publisher.destination import Cargo, Destination, Held
from bitstation.publisher.freight import Freight
from bitstation.publisher.maps import MapCache
from bitstation.publisher.progress import Progress
from bitstation.recipes.release import Known, Made, make_release
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.hashing import Stop
from bitstation.transport.local_file import BytesReader, LocalFile
from bitstation.transport.source import Offer, RangeReader, Source

DEFAULT_BASES = 3


class Beside(NamedTuple):
    """What shall lie beside a release, and where its bytes come from."""

    guides: tuple[GuideRef, ...]
    packs: tuple[BlobRef, ...]
    cargo: Cargo


def bases_for(version: str, held: Sequence[Held], count: int) -> list[Held]:
    """The newest releases before a version, newest first: those that workers are likely to have."""
    before = [each for each in held if is_older(each.version, version)]
    return sorted(before, key=lambda each: version_key(each.version), reverse=True)[:count]


class Attempts:
    """Which guides were made once for a destination: one that saves nothing is not there.

    Kept in the publisher's cache: lost, the work is done once more and comes to the same.
    """

    def __init__(self, destination: Destination, manifest: Manifest, bases: Sequence[Held]) -> None:
        hashes = [manifest.manifest_hash, *sorted(base.manifest_hash for base in bases)]
        key = "\n".join([destination.name, *hashes])
        self._note = cache_dir() / "guided" / digest_of(os.fsencode(key))

    def are_done(self) -> bool:
        """Say whether these very guides were made and committed before."""
        return self._note.is_file()

    def note(self) -> None:
        """Remember that they were. Raises StoreError."""
        disk = Disk()
        with disk_errors(self._note):
            disk.make_dir(self._note.parent)
            disk.write_file(self._note, b"")


@contextmanager
def made_beside(
    freight: Freight,
    destination: Destination,
    bases: Sequence[Held],
    progress: Progress,
    stop: Stop,
) -> Iterator[Beside]:
    """Guides from nothing and from releases at the destination; gone when the block ends.

    Raises DiskFull, StoreError, StoreLocked, UpdateCancelled.
    """
    manifest = freight.manifest
    known = [
        found for base in bases if (found := _known(destination, manifest.tool_id, base.version))
    ]
    with work_folder(f"{manifest.tool_id} for {destination.name}") as work:
        disk = Disk()
        made = make_release(
            manifest,
            freight.manifest_bytes,
            freight.cargo.source,
            known,
            work=work,
            cache=MapCache(disk),
            disk=disk,
            stop=stop,
            progress=progress,
        )
        yield _beside(made)


@contextmanager
def work_folder(what: str) -> Iterator[Path]:
    """An empty folder for one run of this user; gone when the block ends. Raises StoreLocked."""
    disk, folder = Disk(), cache_dir() / "making" / digest_of(os.fsencode(what))[:16]
    with locked(f"guides of {what}"), disk_errors(folder):
        disk.remove_tree(folder)
        disk.make_dir(folder)
        try:
            yield folder
        finally:
            disk.remove_tree(folder)


def _known(destination: Destination, tool_id: str, version: str) -> Known | None:
    """A release at the destination; None where it cannot be read: a guide less is no failure."""
    source = destination.source()
    try:
        found = source.resolve(tool_id, version)
    except (NotFound, ManifestError, DigestMismatch, SourceBroken):
        return None
    papers = Papers(found.manifest_bytes, found.guidance.atlas_bytes)
    return Known(found.manifest, papers, found.guidance.atlas, source)


def _beside(made: Made) -> Beside:
    datas = {digest_of(each.data): each.data for each in made.guides}
    guides = tuple(
        GuideRef(digest_of(each.data), len(each.data), each.base) for each in made.guides
    )
    packs = tuple(BlobRef(pack.digest, pack.size_bytes) for pack in made.packs)
    paths = {pack.digest: pack.path for pack in made.packs}
    return Beside(guides, packs, Cargo(_MadeSource(datas, paths)))


class _MadeSource(Source):
    """Guides in memory and packs in files."""

    name = "what was made"
    is_local = True

    def __init__(self, datas: dict[Digest, bytes], paths: dict[Digest, Path]) -> None:
        self._datas = datas
        self._paths = paths

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        raise NotFound(source=self.name, what="a release")

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        if digest in self._datas:
            return BytesReader(self._datas[digest], offset)
        return LocalFile(self._paths[digest], offset, self.name)
