"""Byte-for-byte reproducible ZIP archives, in parts.

Order, times, modes and the choice of method depend on the release only. Deflated bytes also
depend on the library: zlib writes the same for the same level everywhere, but some Pythons carry
zlib-ng instead (3.14 on Windows; some distributions), which writes others. The package is as good,
its SHA-256 differs; ``has_common_deflate`` tells.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from functools import cache
from pathlib import Path

from bitstation import host
from bitstation.codec.zip_layout import DEFLATED, STORED, End, Member
from bitstation.codec.zip_writing import encode_central, encode_end, encode_local
from bitstation.core.digest import Digest
from bitstation.errors import FileChanged
from bitstation.publisher.text import is_text
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.parts import PartsWriter

_LEVEL = 6
_BLOCK_BYTES = 4 * 1024 * 1024
_SAMPLE_DIGEST = ""


@cache
def has_common_deflate() -> bool:
    """Say whether this Python deflates to the bytes that zlib writes."""
    sample = "".join(f"{number * number % 977} lines of a file\n" for number in range(4000))
    packed = _packer().compress(sample.encode()) + b""
    return hashlib.sha256(packed).hexdigest() == _SAMPLE_DIGEST


def _packer() -> zlib._Compress:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


class ZipWriter:
    """Appends files to an archive; ``finish`` ends it. Raises OSError, StoreError, FileChanged."""

    def __init__(
        self, parts: PartsWriter, on_bytes: OnBytes | None = None, stop: Stop | None = None
    ) -> None:
        self._parts = parts
        self._on_bytes = on_bytes
        self._stop = stop
        self._members: list[Member] = []

    def add_bytes(self, name: str, data: bytes) -> None:
        """Append a text file that is in memory."""
        packer = _packer()
        packed = packer.compress(data) + packer.flush()
        member = self._member(name, DEFLATED, executable=False)._replace(
            crc=zlib.crc32(data), packed_size=len(packed), size=len(data)
        )
        self._parts.write(encode_local(member) + packed)
        self._members.append(member)

    def add_file(
        self, name: str, file: Path, facts: host.StatFacts, digest: Digest, *, executable: bool
    ) -> None:
        """Append a file that was proved to be ``digest`` while it had ``facts``.

        It is hashed again only where the volume keeps no change stamps to prove that it still is.
        """
        method = DEFLATED if is_text(name) else STORED
        member = self._member(name, method, executable=executable)
        # Written twice: sizes and checksum are known when the data has gone by.
        self._parts.write(encode_local(member))
        with file.open("rb", buffering=0) as reader:
            hasher = hashlib.sha256() if not facts.change_ns else None
            if not host.stat_facts(reader.fileno()).same_content_as(facts):
                raise FileChanged(path=str(file))
            ...
