"""The packages of one release: its ZIP, in parts where it is long, and the ZIP of its pages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bitstation.core.assets import frontend_name, package_name
from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import FileChanged, UsageError
from bitstation.publisher.progress import Progress, prove_shown, silent
from bitstation.publisher.validate import CheckedTool
from bitstation.publisher.zip_writer import ZipWriter
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import HASH_BLOCK_BYTES, Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.parts import PartsReader, PartsWriter

FRONTEND_FOLDER = "frontend/"
DEFAULT_MAX_ASSET_BYTES = 19 * 1024**3 // 10
"""1.9 GiB: GitHub takes no asset of 2 GiB."""


class AssetFile(msgspec.Struct, frozen=True):
    """One file of a package; size in bytes."""

    name: str
    size: int
    sha256: Digest


class Asset(msgspec.Struct, frozen=True):
    """A package and the files it consists of: itself, or its parts in order."""

    name: str
    sha256: Digest
    files: tuple[AssetFile, ...]

    @property
    def size_bytes(self) -> int:
        """Length of the whole."""
        return sum(file.size for file in self.files)


class PackageWriter:
    """Writes packages into ``folder``, cut at ``max_asset_bytes``.

    Raises FileChanged, StoreError, OSError, UpdateCancelled.
    """

    def __init__(
        self,
        folder: Path,
        max_asset_bytes: int,
        disk: Disk,
        ledger: Ledger,
        progress: Progress = silent,
        stop: Stop | None = None,
    ) -> None:
        self._folder = folder
        self._max_asset_bytes = max_asset_bytes
        self._disk = disk
        self._ledger = ledger
        self._progress = progress
        self._stop = stop or Stop()

    def write_release(self, checked: CheckedTool, manifest: Manifest) -> Asset:
        """ZIP of a release: the manifest, then every file, sorted.

        The manifest comes first, so that the first of several parts says what it is part of.
        """
        name = package_name(manifest.tool_id, manifest.tool_version)
        return self._write(name, checked, manifest, "")

    def write_frontend(self, checked: CheckedTool, manifest: Manifest) -> Asset | None:
        """ZIP of what lies in ``frontend/``, at its root; None where there is no such folder.

        Raises UsageError when it is longer than an asset may be.
        """
        if not any(path.startswith(FRONTEND_FOLDER) for path in checked.inventory.paths):
            return None
        name = frontend_name(manifest.tool_id, manifest.tool_version)
        asset = self._write(name, checked, manifest, FRONTEND_FOLDER)
        if len(asset.files) > 1:
            raise UsageError(detail=f"{name} is longer than {self._max_asset_bytes} bytes")
        return asset

    def _write(self, name: str, checked: CheckedTool, manifest: Manifest, below: str) -> Asset:
        # The manifest's entries, the files and their proofs stand in the same order.
        rows = zip(manifest.entries, checked.inventory.files, checked.proofs, strict=True)
        chosen = [row for row in rows if row[0].path.startswith(below)]
        on_bytes = self._progress("pack", name, sum(entry.size for entry, _, _ in chosen))
        parts = PartsWriter(self._folder / name, self._max_asset_bytes, self._disk)
        try:
            writer = ZipWriter(parts, on_bytes, self._stop)
            if not below:
                writer.add_bytes(MANIFEST_NAME, manifest.encode())
            for entry, found, proof in chosen:
                assert proof.facts is not None  # else there were faults
                writer.add_file(
                    entry.path.removeprefix(below),
                    found.file,
                    proof.facts,
                    entry.sha256,
                    executable=entry.executable,
                )
            files = writer.finish()
        finally:
            parts.close()
        return self._asset(name, files)

    def _asset(self, name: str, paths: Sequence[Path]) -> Asset:
        files = proved_assets(paths, self._ledger, name, self._progress, self._stop)
        if len(files) == 1:
            return Asset(name, files[0].sha256, tuple(files))
        sizes = [(path, file.size) for path, file in zip(paths, files, strict=True)]
        return Asset(name, self._digest_of(name, sizes), tuple(files))

    def _digest_of(self, name: str, parts: Sequence[tuple[Path, int]]) -> Digest:
        """Digest of the whole that parts (with their sizes) are of."""
        on_bytes = self._progress("hash", name, sum(size for _path, size in parts))
        hasher, block = hashlib.sha256(), memoryview(bytearray(HASH_BLOCK_BYTES))
        reader = PartsReader(parts)
        try:
            while count := reader.readinto(block):
                self._stop.check()
                hasher.update(block[:count])
                on_bytes(count)
        finally:
            reader.close()
        return Digest(hasher.hexdigest())


def proved_assets(
    paths: Sequence[Path],
    ledger: Ledger,
    subject: str,
    progress: Progress = silent,
    stop: Stop | None = None,
) -> list[AssetFile]:
    """Size and digest of files that nobody writes any more. Raises FileChanged."""
    files = []
    for path, proof in zip(paths, prove_shown(paths, ledger, subject, progress, stop), strict=True):
        if proof.facts is None or proof.digest is None:
            raise FileChanged(path=str(path))
        files.append(AssetFile(path.name, proof.facts.size, proof.digest))
    return files
