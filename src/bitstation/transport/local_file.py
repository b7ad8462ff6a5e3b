"""A file of this machine or of a share, and bytes in memory, as open spans."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.mirror import is_metadata_name
from bitstation.errors import SourceBroken, SourceError


class LocalFile:
    """A file from an offset on; what its volume fails to give is the source's fault, not ours."""

    def __init__(self, path: Path, offset: int, name: str) -> None:
        """Raises SourceError."""
        self._name = name
        try:
            self._file = path.open("rb", buffering=0)
            self._file.seek(offset)
        except OSError as error:
            raise self._ours(error) from error

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of ``buffer``; 0 at the end of the file. Raises SourceError."""
        try:
            return self._file.readinto(buffer)
        except OSError as error:
            raise self._ours(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _ours(self, error: OSError) -> SourceError:
        return SourceError(source=self._name, detail=error.strerror or str(error))


class BytesReader:
    """Bytes in memory from an offset on."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._left = memoryview(data)[offset:]

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of ``buffer``; 0 at the end."""
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """Let go of the bytes."""
        self._left = memoryview(b"")


def read_metadata_file(folder: Path, name: str, max_bytes: int, source: str) -> bytes | None:
    """A file of signed metadata in a folder; None where it is absent. Raises SourceError."""
    path = folder / name
    if not is_metadata_name(name) or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise SourceError(source=source, detail=error.strerror or str(error)) from error
    if len(data) > max_bytes:
        raise SourceBroken(source=source, detail=f"{name} exceeds {max_bytes} bytes")
    return data
