"""A folder with a manifest.json as a source: a publisher's folder, a release, a USB disk."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.digest import Digest
from bitstation.core.manifest import parse_manifest
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import NotFound, SourceError
from bitstation.host import native_path
from bitstation.storage.tree import read_manifest_bytes
from bitstation.transport.source import Offer, RangeReader, Source


class FolderSource(Source):
    """Files of one release below a folder, found by the digests its manifest states."""

    concurrency = 2

    def __init__(self, folder: Path, *, legacy: bool = False) -> None:
        self._folder = native_path(Path(folder).absolute())
        self._paths: dict[str, str] = {}
        self._legacy = legacy
        self.name = str(folder)

    def _resolve(self, tool_id: str, version: str | None) -> Offer:
        try:
            data = read_manifest_bytes(self._folder)
        except OSError as error:
            raise NotFound(
                source=self.name, what=f"a {MANIFEST_NAME} ({error.strerror})"
            ) from error
        manifest = parse_manifest(data, legacy=self._legacy, what=f"{self.name}/{MANIFEST_NAME}")
        self._paths = {entry.sha256: entry.path for entry in manifest.entries}
        return Offer(manifest.tool_id, manifest.tool_version, data)

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
