"""Packages for tests: honest ones of several writers, and pieces to make hostile ones from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Entry, Manifest, build_manifest
from bitstation.errors import PackageInvalid
from bitstation.transport.package import PackageSource
from bitstation.transport.source import Source

FILES = {
    "tool.json": b"{}\n",
    "src/main.py": b"print('hello')\n" * 500,
    "models/m.bin": bytes(range(256)) * 700,
    "empty.txt": b"",
}


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    """Manifest of files in memory."""
    entries = [Entry(path, digest_of(data), len(data)) for path, data in files.items()]
    return build_manifest("sample", "1.0.0", entries, created_at="2026-01-01T00:00:00Z", fields={})


def package_bytes(
    files: Mapping[str, bytes] = FILES,
    *,
    manifest: Manifest | None = None,
    extra: Iterable[tuple[str | zipfile.ZipInfo, bytes]] = (),
    method: int = zipfile.ZIP_DEFLATED,
    unseekable: bool = False,
) -> bytes:
    """A package that Python's own zipfile writes; ``extra`` members follow the files."""
    buffer = io.BytesIO()
    target = _Unseekable(buffer) if unseekable else buffer
    with zipfile.ZipFile(target, "w", method) as archive:  # type: ignore[arg-type]
        archive.writestr("manifest.json", (manifest or manifest_of(files)).encode())
        for path, data in files.items():
            archive.writestr(path, data)
        for name, data in extra:
            archive.writestr(name, data)
    return buffer.getvalue()


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    """A member with exactly this name (ZipInfo itself would mend it) and mode."""
    info = zipfile.ZipInfo("x")
    info.filename = name
    info.external_attr = mode << 16
    info.create_system = 3
    return info


def saved(folder: Path, data: bytes) -> Path:
    """The package as a file."""
    path = folder / "tool_sample_1.0.0.zip"
    path.write_bytes(data)
    return path


def content(source: Source, digest: Digest, offset: int, length: int) -> bytes:
    """A span read in uneven bites, as the engine might."""
    data = bytearray(length)
    view, done = memoryview(data), 0
    with source.read_range(digest, offset, length) as reader:
        while count := reader.readinto(view[done : done + 1000]):
            done += count
    return bytes(data[:done])


def refused(folder: Path, data: bytes, *words: str) -> None:
    """The package is refused as a whole, for the reason named."""
    with pytest.raises(PackageInvalid) as caught:
        PackageSource(saved(folder, data))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.exit_code == 30


class _Unseekable:
    """A pipe: members then have their sizes after their data."""

    def __init__(self, inner: io.BytesIO) -> None:
        self._inner = inner

    def write(self, data: bytes) -> int:
        return self._inner.write(data)

    def flush(self) -> None:
        self._inner.flush()
