"""Little-endian values of a header, in turn, with little memory and no belief in counts."""

from __future__ import annotations

import struct

from bitstation.models.layout import LayoutFault, Reader, read_exactly

WINDOW_BYTES = 1 << 20

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class Cursor:
    """A place in a header that may not go beyond ``end``; windows of 1 MiB are read as it moves."""

    def __init__(self, reader: Reader, end: int) -> None:
        self._reader = reader
        self._end = end
        self._window = b""
        self._start = 0
        self._at = 0

    @property
    def position(self) -> int:
        """Offset in the file of the next byte."""
        return self._start + self._at

    def u32(self) -> int:
        """Unsigned 32 bits."""
        self._need(4)
        (value,) = _U32.unpack_from(self._window, self._at)
        self._at += 4
        return int(value)

    def u64(self) -> int:
        """Unsigned 64 bits."""
        self._need(8)
        (value,) = _U64.unpack_from(self._window, self._at)
        self._at += 8
        return int(value)

    def u64s(self, count: int) -> tuple[int, ...]:
        """Several of them; the caller bounds the count."""
        return struct.unpack(f"<{count}Q", self.take(8 * count))

    def take(self, length: int) -> bytes:
        """Bytes as they are; the caller bounds the length."""
        self._need(length)
        self._at += length
        return self._window[self._at - length : self._at]

    def skip(self, length: int) -> None:
        """Go on without reading."""
        self.expect(length)
        self._at += length

    def skip_strings(self, count: int) -> None:
        """Go over strings that each state their length. Cost: about 0.2 microseconds a string."""
        self.expect(8 * count)
        unpack, window, at = _U64.unpack_from, self._window, self._at
        for _ in range(count):
            if at + 8 > len(window):
                self._at = at
                self._need(8)
                window, at = self._window, self._at
            at += 8 + unpack(window, at)[0]
        self._at = at
        self.expect(0)

    def expect(self, length: int) -> None:
        """Refuse at once what could not be there: nothing is read or kept on a count's word."""
        if self.position + length > self._end:
            raise LayoutFault(f"its header reaches beyond byte {self._end}")

    def _need(self, length: int) -> None:
        """Have the next ``length`` bytes in the window."""
        if self._at + length > len(self._window):
            self.expect(length)
            self._start, self._at = self.position, 0
            wanted = min(max(WINDOW_BYTES, length), self._end - self._start)
            self._window = read_exactly(self._reader, self._start, wanted)
