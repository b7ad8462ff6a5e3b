"""Content of one file of a package, from an offset on; never more than its stated size."""

from __future__ import annotations

import zlib

from bitstation.codec.zip_layout import DEFLATED, LOCAL, Member
from bitstation.codec.zip_reading import ZipFault, local_bytes
from bitstation.errors import PackageInvalid, SourceError
from bitstation.storage.parts import PartsReader
from bitstation.transport.source import RangeReader

_BLOCK_BYTES = 1024 * 1024


def open_content(reader: PartsReader, member: Member, offset: int, source: str) -> RangeReader:
    """Content of ``member`` from ``offset``; the reader is closed with it, or on failure.

    Raises PackageInvalid, SourceError. Cost: deflated content before the offset is unpacked too.
    """
    kind = _Deflated if member.method == DEFLATED else _Stored
    try:
        reader.seek(member.offset)
        start = member.offset + local_bytes(reader.read(LOCAL.size))
        return kind(reader, start, member, offset, source)
    except (OSError, ZipFault) as error:
        reader.close()
        raise _ours(error, source) from error


def read_content(reader: PartsReader, member: Member, source: str) -> bytes:
    """All of a small member; what is cut short gives fewer bytes than it states.

    Raises PackageInvalid, SourceError.
    """
    content = open_content(reader, member, 0, source)
    data, done = memoryview(bytearray(member.size)), 0
    try:
        while done < len(data) and (count := content.readinto(data[done:])):
            done += count
    finally:
        content.close()
    return bytes(data[:done])


def _ours(error: Exception, source: str) -> PackageInvalid | SourceError:
    if isinstance(error, OSError):
        return SourceError(source=source, detail=error.strerror or str(error))
    return PackageInvalid(package=source, detail=str(error))


class _Stored:
    def __init__(
        self, reader: PartsReader, start: int, member: Member, offset: int, source: str
    ) -> None:
        self._reader = reader
        self._source = source
        self._left = member.size - offset
        reader.seek(start + offset)

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            count = self._reader.readinto(buffer[: self._left])
        except OSError as error:
            raise _ours(error, self._source) from error
        self._left -= count
        return count

    def close(self) -> None:
        self._reader.close()


class _Deflated:
    def __init__(
        self, reader: PartsReader, start: int, member: Member, offset: int, source: str
    ) -> None:
        self._reader = reader
        self._source = source
        self._left = member.size
        self._packed_left = member.packed_size
        self._packed = b""
        self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        reader.seek(start)
        self._skip(offset)

    def readinto(self, buffer: memoryview, /) -> int:
        data = self._unpack(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._reader.close()

    def _skip(self, offset: int) -> None:
        while offset and (data := self._unpack(min(offset, _BLOCK_BYTES))):
            self._left -= len(data)
            offset -= len(data)

    def _unpack(self, wanted: int) -> bytes:
        """At most ``wanted`` bytes, none at the end of the stream."""
        try:
            while wanted and not self._unpacker.eof:
                if not self._packed:
                    self._packed = self._reader.read(min(_BLOCK_BYTES, self._packed_left))
                    self._packed_left -= len(self._packed)
                is_last = not self._packed
                data = self._unpacker.decompress(self._packed, wanted)
                self._packed = self._unpacker.unconsumed_tail
                if data or is_last:
                    return data
        except (OSError, zlib.error) as error:
            raise _ours(error, self._source) from error
        return b""
