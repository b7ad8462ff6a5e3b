"""The records of a ZIP archive, as values. Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5."""

from __future__ import annotations

import struct
from typing import NamedTuple

STORED = 0
DEFLATED = 8

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
END = struct.Struct("<4s4H2IH")

LOCAL_SIGNATURE = b"PK\x03\x04"
CENTRAL_SIGNATURE = b"PK\x01\x02"
DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR_SIGNATURE = b"PK\x06\x07"
END_SIGNATURE = b"PK\x05\x06"

ZIP64_EXTRA = 1
UTF8_NAME = 1 << 11
SIZES_FOLLOW = 1 << 3
MAX16, MAX32 = 0xFFFF, 0xFFFFFFFF


class Member(NamedTuple):
    """One file of an archive. Sizes, and the offset of its local header, in bytes."""

    name: str
    method: int
    crc: int
    packed_size: int
    size: int
    offset: int
    mode: int
    """POSIX mode and file type; 0 when the archive was made where there is none."""
    flags: int = UTF8_NAME

    @property
    def sizes_follow(self) -> bool:
        """Say whether a record after the data holds what the local header leaves open."""
        return bool(self.flags & SIZES_FOLLOW)


class End(NamedTuple):
    """Where the central directory lies and how many members it lists."""

    members: int
    directory_offset: int
    directory_bytes: int
