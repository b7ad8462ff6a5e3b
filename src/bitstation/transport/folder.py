"""A folder with a manifest.json as a source: a publisher's folder, a release, a USB disk."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest, parse_manifest
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import NotFound, SourceError
from bitstation.host import native_path
from bitstation.storage.tree import read_manifest_bytes
from bitstation.transport.source import Offer, RangeReader, Source


class FolderSource(Source):
    """Files of one release below a folder, found by the digests its manifest states."""

    concurrency = 2

    def __init__(self, folder: Path) -> None:
        self._folder = native_path(Path(folder).absolute())
        self.name = str(folder)

    @cached_property
    def _manifest_bytes(self) -> bytes:
        try:
            return read_manifest_bytes(self._folder)
        except OSError as error:
            what = f"a {MANIFEST_NAME} ({error.strerror})"
            raise NotFound(source=self.name, what=what) from error

    @cached_property
    def _manifest(self) -> Manifest:
        # Only an index of what may lie where: whoever resolves decides whether it is believed.
        return parse_manifest(self._manifest_bytes, legacy=True, what=self.name)

    @cached_property
    def _paths(self) -> dict[str, str]:
        return {entry.sha256: entry.path for entry in self._manifest.entries}

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        manifest = self._manifest
        return Offer(manifest.tool_id, manifest.tool_version, self._manifest_bytes)

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        path = self._paths.get(digest)
        if path is None:
            raise NotFound(source=self.name, what=f"a file with SHA-256 {digest}")
        try:
            file = (self._folder / path).open("rb", buffering=0)
            file.seek(offset)
        except OSError as error:
            raise SourceError(source=self.name, detail=f"{path}: {error.strerror}") from error
        return file
