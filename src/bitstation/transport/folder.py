"""A folder with a manifest.json as a source: a publisher's folder, a release, a USB disk."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest, parse_manifest
from bitstation.core.mirror import METADATA
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import NotFound
from bitstation.host import native_path
from bitstation.storage.tree import read_manifest_bytes
from bitstation.transport.local_file import LocalFile, read_metadata_file
from bitstation.transport.source import Offer, RangeReader, Source


class FolderSource(Source):
    """Files of one release below a folder, found by the digests its manifest states."""

    concurrency = 2
    is_local = True

    def __init__(self, folder: Path, manifest_bytes: bytes | None = None) -> None:
        """``manifest_bytes``: manifest to go by, in place of the one in the folder."""
        self._folder = native_path(Path(folder).absolute())
        self.name = str(folder)
        if manifest_bytes is not None:
            self._manifest_bytes = manifest_bytes

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
    def _paths(self) -> dict[Digest, list[str]]:
        paths: dict[Digest, list[str]] = {}
        for entry in self._manifest.entries:
            paths.setdefault(entry.sha256, []).append(entry.path)
        return paths

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        manifest = self._manifest
        return Offer(manifest.tool_id, manifest.tool_version, self._manifest_bytes)

    def file_of(self, digest: Digest) -> Path | None:
        """File that should have this content; None where there is none."""
        # Not what would wait for a writer, as a pipe does.
        files = (self._folder / path for path in self._paths.get(digest, []))
        return next((file for file in files if file.is_file()), None)

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        """A file of ``metadata/`` beside the folder: inside of it, it would be of the release."""
        return read_metadata_file(self._folder.parent / METADATA, name, max_bytes, self.name)

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        file = self.file_of(digest)
        if file is None:
            raise NotFound(source=self.name, what=f"a file with SHA-256 {digest}")
        return LocalFile(file, offset, f"{self.name}: {file.relative_to(self._folder)}")
