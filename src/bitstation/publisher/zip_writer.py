"""Byte-for-byte reproducible ZIP archives.

Order, times, modes and methods depend on the release only. Deflated bytes depend on the library
too: zlib has written the same ones for years, but some Pythons carry zlib-ng in its place (3.14 on
Windows, some Linux distributions). Such a package is as good, but its SHA-256 is another;
``has_common_deflate`` tells.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from collections.abc import Callable
from functools import cache
from io import FileIO
from pathlib import Path

from bitstation import host
from bitstation.codec.zip_layout import DEFLATED, STORED, End, Member
from bitstation.codec.zip_writing import encode_central, encode_end, encode_local
from bitstation.core.digest import Digest
from bitstation.errors import DigestMismatch, FileChanged
from bitstation.publisher.text import is_text
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.parts import PartsWriter

ReadInto = Callable[[memoryview], int]

_LEVEL = 6
_BLOCK_BYTES = 4 * 1024 * 1024
_SAMPLE_DEFLATED = "543fa1db54347dbd701fc7d709f508dc249a99015548b4d42a857ae41dea6198"


@cache
def has_common_deflate() -> bool:
    """Say whether this Python deflates to the bytes that zlib 1.2 and 1.3 write."""
    sample = "".join(f"line {number * number % 977} of a file\n" for number in range(2000))
    packer = _packer()
    packed = packer.compress(sample.encode()) + packer.flush()
    return hashlib.sha256(packed).hexdigest() == _SAMPLE_DEFLATED


def _packer() -> zlib._Compress:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


class ZipWriter:
    """Appends files to an archive; ``finish`` ends it.

    Raises OSError, StoreError, FileChanged, UpdateCancelled. Memory: a block of 4 MiB.
    """

    def __init__(
        self, parts: PartsWriter, on_bytes: OnBytes | None = None, stop: Stop | None = None
    ) -> None:
        self._parts = parts
        self._on_bytes = on_bytes
        self._stop = stop
        self._members: list[Member] = []
        self._block = memoryview(bytearray(_BLOCK_BYTES))

    def add_bytes(self, name: str, data: bytes) -> None:
        """Append a text file that is in memory."""
        packer = _packer()
        packed = packer.compress(data) + packer.flush()
        offset = self._parts.tell()
        member = Member(
            name, DEFLATED, zlib.crc32(data), len(packed), len(data), offset, _mode(False)
        )
        self._parts.write(encode_local(member) + packed)
        self._members.append(member)

    def add_file(
        self, name: str, file: Path, facts: host.StatFacts, digest: Digest, *, executable: bool
    ) -> None:
        """Append a file that was proved to be ``digest`` while it had ``facts``.

        It is hashed once more only where the volume keeps no stamps to tell that it still is.
        """
        method = DEFLATED if is_text(name) else STORED
        offset = self._parts.tell()
        # The header is written twice: the checksum is known when the data has gone by.
        member = Member(name, method, 0, 0, facts.size, offset, _mode(executable))
        self._parts.write(encode_local(member))
        data_offset = self._parts.tell()
        with FileIO(file) as reader:
            before = host.stat_facts(reader.fileno())
            crc, found = self._copy(reader, method, hashed=not facts.change_ns)
            after = host.stat_facts(reader.fileno())
        if not facts.same_content_as(before) or not facts.same_content_as(after):
            raise FileChanged(path=str(file))
        if found not in (None, digest):
            raise FileChanged(path=str(file))
        member = member._replace(crc=crc, packed_size=self._parts.tell() - data_offset)
        self._parts.patch(offset, encode_local(member))
        self._members.append(member)

    def add_stored(
        self, name: str, content: tuple[int, ReadInto], digest: Digest | None = None
    ) -> None:
        """Append a member as it is: its size in bytes, and what fills buffers with it in order.

        Raises DigestMismatch when a ``digest`` is given and the content has another.
        """
        size_bytes, readinto = content
        offset = self._parts.tell()
        member = Member(name, STORED, 0, size_bytes, size_bytes, offset, _mode(False))
        self._parts.write(encode_local(member))
        crc, hasher, left = 0, hashlib.sha256() if digest else None, size_bytes
        while left and (count := readinto(self._block[:left])):
            data = self._block[:count]
            crc = zlib.crc32(data, crc)
            if hasher:
                hasher.update(data)
            self._parts.write(data)
            left -= count
            if self._on_bytes:
                self._on_bytes(count)
            if self._stop:
                self._stop.check()
        if hasher and hasher.hexdigest() != digest:
            raise DigestMismatch(
                path=name, source="the source", expected=digest, actual=hasher.hexdigest()
            )
        member = member._replace(crc=crc)
        self._parts.patch(offset, encode_local(member))
        self._members.append(member)

    def finish(self) -> list[Path]:
        """Write the central directory; gives the archive's files, durable."""
        start = self._parts.tell()
        for member in self._members:
            self._parts.write(encode_central(member))
        size_bytes = self._parts.tell() - start
        self._parts.write(encode_end(End(len(self._members), start, size_bytes)))
        return self._parts.finish()

    def _copy(self, reader: FileIO, method: int, *, hashed: bool) -> tuple[int, str | None]:
        """Write a file's data, packed as ``method`` says; gives its CRC-32, and digest if asked."""
        crc, hasher = 0, hashlib.sha256() if hashed else None
        packer = _packer() if method == DEFLATED else None
        while count := reader.readinto(self._block):
            data = self._block[:count]
            crc = zlib.crc32(data, crc)
            if hasher:
                hasher.update(data)
            self._parts.write(packer.compress(data) if packer else data)
            if self._on_bytes:
                self._on_bytes(count)
            if self._stop:
                self._stop.check()
        if packer:
            self._parts.write(packer.flush())
        return crc, hasher.hexdigest() if hasher else None


def _mode(executable: bool) -> int:
    return stat.S_IFREG | (0o755 if executable else 0o644)
