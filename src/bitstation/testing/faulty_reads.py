"""Reads that fail, come short, lie or meet a change: ``Path.open`` is the one seam of all of them.

What the package reads it opens by ``Path.open`` (``read_bytes`` goes through it too), so this is
where a test can stand in its place; writing goes through ``Disk``, and the ledger's database reads
by itself.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Strike = Callable[[Path], None]


class FaultyReads:
    """Within its block, counts opens and reads of files below a folder, from 1.

    At call ``strike_at``, and with ``strikes_on`` at every later one: ``before`` is called, which
    may raise or change the file; then a read gives one byte only where ``short``, and one bit of
    what it gave is another where ``flip``. ``calls`` says what each was.
    """

    def __init__(
        self,
        folder: Path,
        strike_at: int,
        *,
        before: Strike | None = None,
        short: bool = False,
        flip: bool = False,
        strikes_on: bool = False,
    ) -> None:
        self.calls: list[str] = []
        self._folder = folder
        self._strike_at = strike_at
        self._before = before
        self._short = short
        self._flip = flip
        self._strikes_on = strikes_on
        self._lock = threading.Lock()
        self._real = Path.open

    @property
    def has_struck(self) -> bool:
        """Say whether there were calls enough."""
        return len(self.calls) >= self._strike_at

    def __enter__(self) -> Self:
        real, reads = self._real, self

        def opened(
            path: Path, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any
        ) -> Any:
            if mode != "rb" or reads._folder not in path.parents:
                return real(path, mode, buffering, *rest, **more)
            return reads._open(path, buffering)

        Path.open = opened  # type: ignore[method-assign,assignment]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        Path.open = self._real  # type: ignore[method-assign]

    def _open(self, path: Path, buffering: int) -> IO[bytes]:
        if self._counts("open", path) and self._before:
            self._before(path)
        file = _File(path, self)
        return file if buffering == 0 else io.BufferedReader(file)

    def _counts(self, name: str, path: Path) -> bool:
        """Count a call; says whether it is to be struck."""
        with self._lock:
            self.calls.append(f"{name} {path.name}")
            number = len(self.calls)
        return number == self._strike_at or (self._strikes_on and number > self._strike_at)


class _File(io.FileIO):
    """One file being read."""

    def __init__(self, path: Path, reads: FaultyReads) -> None:
        super().__init__(path, "rb")
        self._path = path
        self._reads = reads

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        reads, view = self._reads, memoryview(buffer).cast("B")
        is_struck = reads._counts("read", self._path)
        if is_struck and reads._before:
            reads._before(self._path)
        count = super().readinto(view[:1] if is_struck and reads._short else view)
        if is_struck and reads._flip and count:
            view[count // 2] ^= 1
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        data = bytearray(size)
        return bytes(data[: self.readinto(data)])

    def readall(self) -> bytes:
        found = bytearray()
        while piece := self.read(io.DEFAULT_BUFFER_SIZE * 64):
            found += piece
        return bytes(found)
