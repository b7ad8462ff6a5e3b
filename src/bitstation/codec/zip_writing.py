"""Records of the ZIP archives we make.

They are uniform: every record has its Zip64 form, so that what a file over 4 GiB needs is
exercised by every small package too, and the bytes depend on no library's habits.
"""

from __future__ import annotations

import struct

from bitstation.codec.zip_layout import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    LOCAL,
    LOCAL_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    MAX16,
    MAX32,
    ZIP64_EXTRA,
    End,
    Member,
)

_VERSION = 45  # the first with Zip64
_MADE_ON_UNIX = 3 << 8 | _VERSION
_MIDNIGHT = 0
_FIRST_DAY = 0x21  # 1980-01-01, the earliest that the format can say


def encode_local(member: Member) -> bytes:
    """Local header of a member; its length depends on the name only."""
    name = member.name.encode("utf-8")
    extra = struct.pack("<2H2Q", ZIP64_EXTRA, 16, member.size, member.packed_size)
    header = LOCAL.pack(
        LOCAL_SIGNATURE,
        _VERSION,
        member.flags,
        member.method,
        _MIDNIGHT,
        _FIRST_DAY,
        member.crc,
        MAX32,
        MAX32,
        len(name),
        len(extra),
    )
    return header + name + extra


def encode_central(member: Member) -> bytes:
    """Row of the central directory for a member."""
    name = member.name.encode("utf-8")
    extra = struct.pack("<2H3Q", ZIP64_EXTRA, 24, member.size, member.packed_size, member.offset)
    header = CENTRAL.pack(
        CENTRAL_SIGNATURE,
        _MADE_ON_UNIX,
        _VERSION,
        member.flags,
        member.method,
        _MIDNIGHT,
        _FIRST_DAY,
        member.crc,
        MAX32,
        MAX32,
        len(name),
        len(extra),
        0,  # no comment
        0,  # first and only volume: the parts of a package are cut without regard to records
        0,
        member.mode << 16,
        MAX32,
    )
    return header + name + extra


def encode_end(end: End) -> bytes:
    """All that follows the central directory."""
    end64 = END64.pack(
        END64_SIGNATURE,
        END64.size - 12,
        _MADE_ON_UNIX,
        _VERSION,
        0,
        0,
        end.members,
        end.members,
        end.directory_bytes,
        end.directory_offset,
    )
    locator = LOCATOR.pack(LOCATOR_SIGNATURE, 0, end.directory_offset + end.directory_bytes, 1)
    return end64 + locator + END.pack(END_SIGNATURE, 0, 0, MAX16, MAX16, MAX32, MAX32, 0)
