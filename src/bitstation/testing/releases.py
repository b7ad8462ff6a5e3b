"""Small releases made from bytes in memory, for tests of whatever installs them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from bitstation.core.canonical import JsonValue
from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import (
    DEFAULT_BASE_URL,
    DEFAULT_IGNORE_GLOBS,
    Entry,
    Manifest,
    build_manifest,
    file_url,
)
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.worker.run import Options

TOOL_ID = "sample-tool"
UNSIGNED = Options(allow_unsigned=True)
"""For updates to these releases, which nobody signs, on machines where no root is pinned."""
CREATED_AT = "2026-01-01T00:00:00+00:00"


class Release(msgspec.Struct, frozen=True):
    """A release and the bytes of its files by path."""

    manifest: Manifest
    files: dict[str, bytes]

    @property
    def version(self) -> str:
        """Version of the release."""
        return self.manifest.tool_version

    @property
    def blobs(self) -> dict[Digest, bytes]:
        """Contents by digest."""
        return {digest_of(data): data for data in self.files.values()}

    def write(self, folder: Path) -> Path:
        """Write files and manifest.json below ``folder``, which is given back."""
        for path, data in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (folder / MANIFEST_NAME).write_bytes(self.manifest.encode())
        return folder


def make_release(
    files: Mapping[str, bytes],
    version: str = "1.0.0",
    *,
    tool_id: str = TOOL_ID,
    executables: Collection[str] = (),
    **fields: JsonValue,
) -> Release:
    """Release of ``files`` (path -> bytes); ``fields`` are further fields of its manifest."""
    entries = [
        Entry(
            path=path,
            sha256=digest_of(data),
            size=len(data),
            url=file_url(DEFAULT_BASE_URL, tool_id, version, path),
            executable=path in executables,
        )
        for path, data in files.items()
    ]
    globs: list[JsonValue] = list(DEFAULT_IGNORE_GLOBS)
    stated: dict[str, JsonValue] = {"delete_policy": "safe", "ignore_globs": globs, **fields}
    manifest = build_manifest(tool_id, version, entries, created_at=CREATED_AT, fields=stated)
    return Release(manifest, dict(files))
