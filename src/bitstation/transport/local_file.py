"""A file of this machine, or of a share, as an open span."""

from __future__ import annotations

from pathlib import Path

from bitstation.errors import SourceError


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
