"""ZIP archives: what is taken is listed alike by Python's own reader."""

from __future__ import annotations

import io
import zipfile
from typing import Any, cast

from bitstation.codec.zip_reading import ZipFault
from bitstation.core.digest import digest_of
from bitstation.core.manifest import Entry, build_manifest
from bitstation.transport.package_checks import member_faults, read_members

MANIFEST = build_manifest(
    "tool",
    "1.0.0",
    [Entry("a.txt", digest_of(b"a"), 1), Entry("b/c.bin", digest_of(b"c"), 40)],
    created_at="2026-11-23T08:00:00Z",
    fields={},
)


class _Held(io.BytesIO):
    """An archive in memory, read as one of several parts is."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size_bytes = len(data)

    def read(self, length: int | None = -1, /) -> bytes:
        assert length is not None
        assert length >= 0
        return super().read(length)


def check(data: bytes) -> bool:
    """Only a ZipFault leaves; of what is taken, names, sizes and check sums are beyond doubt."""
    try:
        members = read_members(cast(Any, _Held(data)))
    except ZipFault:
        return False
    list(member_faults(members, MANIFEST))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        known = archive.infolist()
    assert len(known) == len(members)
    for one, other in zip(members, known, strict=True):
        assert (one.size, one.packed_size, one.crc, one.offset, one.method) == (
            *(other.file_size, other.compress_size, other.CRC, other.header_offset),
            other.compress_type,
        )
        # Python ends a name at the first NUL; path_fault refuses it.
        assert one.name == other.orig_filename
    return True
