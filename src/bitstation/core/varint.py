"""Unsigned LEB128 integers, and a bounded reader of the binary formats that use them."""

from __future__ import annotations

MAX_VARINT_BYTES = 9
"""Enough for 2^63 - 1."""


class BinaryFault(ValueError):
    """The bytes are not what the format says; the message names the offset."""


def encode_varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first, the high bit set on all bytes but the last."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def encode_zigzag(number: int) -> bytes:
    """An integer of either sign: 0, -1, 1, -2 ... as 0, 1, 2, 3 ..."""
    return encode_varint(number << 1 if number >= 0 else (-number << 1) - 1)


class BinaryReader:
    """Reads a format from front to back; whatever would leave the bytes raises BinaryFault."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return len(self._data) - self._offset

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > self.left:
            raise BinaryFault(f"ends at {len(self._data)}, {count - self.left} bytes too early")
        self._offset += count
        return self._data[self._offset - count : self._offset]

    def varint(self, most: int) -> int:
        """The next integer, at most ``most``; a longer spelling than needed is refused."""
        number = shift = 0
        for length in range(1, MAX_VARINT_BYTES + 1):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if byte == 0 and length > 1:
                    raise BinaryFault(f"a number before {self._offset} is spelled too long")
                if number > most:
                    raise BinaryFault(f"number {number} before {self._offset} exceeds {most}")
                return number
        raise BinaryFault(f"a number before {self._offset} is too long")

    def zigzag(self, most: int) -> int:
        """The next integer of either sign, its size at most ``most``."""
        number = self.varint(2 * most)
        return -((number + 1) >> 1) if number & 1 else number >> 1

    def end(self) -> None:
        """Refuse bytes after the end of the format."""
        if self.left:
            raise BinaryFault(f"{self.left} bytes follow the end")
