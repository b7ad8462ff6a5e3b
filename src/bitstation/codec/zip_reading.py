"""Records of ZIP archives that anybody made, read strictly.

What honest writers make is taken; whatever two readers could understand in two ways is refused:
comments, gaps, a second end record, encryption, names or sizes that are stated differently twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from bitstation.codec.zip_layout import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    DESCRIPTOR_SIGNATURE,
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
    SIZES_FOLLOW,
    STORED,
    UTF8_NAME,
    ZIP64_EXTRA,
    End,
    Member,
)

TAIL_BYTES = END64.size + LOCATOR.size + END.size
"""Length of the longest tail of an archive without a comment."""

_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_EFFORT = 1 << 1 | 1 << 2
_KNOWN_FLAGS = UTF8_NAME | SIZES_FOLLOW | _EFFORT
_UNICODE_PATH_EXTRA = 0x7075
_NEWEST_VERSION = 63
"""Of APPNOTE, in tenths, that a member may ask its reader to know."""


class ZipFault(ValueError):
    """The archive is not one we take; the message says why."""


def parse_end(tail: bytes, archive_bytes: int) -> End:
    """Where the central directory lies. ``tail``: the last TAIL_BYTES of the archive, or all."""
    if len(tail) < END.size or tail[-END.size :][:4] != END_SIGNATURE:
        raise ZipFault("it does not end with an end record: cut short, or something follows it")
    _, disk, first_disk, here, members, size, offset, comment = END.unpack(tail[-END.size :])
    if disk or first_disk or here != members or comment:
        raise ZipFault("its end record names other volumes or a comment")
    end, end_offset = End(members, offset, size), archive_bytes - END.size
    locator = tail[-END.size - LOCATOR.size : -END.size]
    if locator[:4] == LOCATOR_SIGNATURE:
        end, end_offset = _parse_end64(tail, archive_bytes, end)
    elif members == MAX16 or MAX32 in (offset, size):
        raise ZipFault("its Zip64 end record is missing")
    if end.directory_offset + end.directory_bytes != end_offset:
        raise ZipFault("its central directory does not end where the end record begins")
    return end


def _parse_end64(tail: bytes, archive_bytes: int, short: End) -> tuple[End, int]:
    if len(tail) < TAIL_BYTES:
        raise ZipFault("its Zip64 end record is missing")
    offset = archive_bytes - TAIL_BYTES
    locator = LOCATOR.unpack(tail[-END.size - LOCATOR.size : -END.size])
    record = END64.unpack(tail[-TAIL_BYTES:][: END64.size])
    signature, length, _made, _needed, disk, first_disk, here, members, size, start = record
    if signature != END64_SIGNATURE or length != END64.size - 12 or locator[2] != offset:
        raise ZipFault("its Zip64 end record is not where its locator says")
    if disk or first_disk or here != members or locator[1] or locator[3] > 1:
        raise ZipFault("its Zip64 end record names other volumes")
    for stated, limit, full in (
        (short.members, MAX16, members),
        (short.directory_offset, MAX32, start),
        (short.directory_bytes, MAX32, size),
    ):
        if stated not in (limit, full):
            raise ZipFault("its two end records disagree")
    return End(members, start, size), offset


def parse_directory(data: bytes, members: int) -> Iterator[Member]:
    """Rows of the central directory, which must be exactly ``members``."""
    position = 0
    for _ in range(members):
        header = data[position : position + CENTRAL.size]
        if len(header) < CENTRAL.size or header[:4] != CENTRAL_SIGNATURE:
            raise ZipFault("its central directory is damaged")
        fields = CENTRAL.unpack(header)
        name_end = position + CENTRAL.size + fields[10]
        extra_end = name_end + fields[11]
        position = extra_end + fields[12]
        if position > len(data):
            raise ZipFault("its central directory is damaged")
        name = data[name_end - fields[10] : name_end]
        yield _member(fields, name, data[name_end:extra_end])
    if position != len(data):
        raise ZipFault("its central directory lists more than the end record says")


def _member(fields: tuple[int, ...], raw_name: bytes, extra: bytes) -> Member:
    flags, method, crc, packed, size = fields[3], fields[4], *fields[7:10]
    name = _decoded(raw_name, flags)
    if flags & _ENCRYPTED:
        raise ZipFault(f"{name!r} is encrypted")
    if flags & ~_KNOWN_FLAGS or fields[2] & 0xFF > _NEWEST_VERSION:
        raise ZipFault(f"{name!r} needs features that packages do not use")
    if method not in (STORED, DEFLATED):
        raise ZipFault(f"{name!r} is packed by method {method}, which packages do not use")
    if fields[13]:
        raise ZipFault(f"{name!r} lies on another volume")
    size, packed, offset = _zip64(extra, name, (size, packed, fields[16]))
    if method == STORED and packed != size:
        raise ZipFault(f"{name!r} is stored, but states two sizes")
    return Member(name, method, crc, packed, size, offset, fields[15] >> 16, flags)


def _decoded(name: bytes, flags: int) -> str:
    try:
        return name.decode("utf-8" if flags & UTF8_NAME else "ascii")
    except UnicodeDecodeError as error:
        raise ZipFault(f"name {name[:80]!r} is not UTF-8, or not marked as such") from error


def _zip64(extra: bytes, name: str, stated: tuple[int, ...]) -> tuple[int, ...]:
    """Values of ``stated`` in the same order; those at their limit are read from the extra."""
    fields = dict(_extras(extra, name))
    long_values = fields.get(ZIP64_EXTRA, b"")
    values = []
    for value in stated:
        if value == MAX32:
            if len(long_values) < 8:
                raise ZipFault(f"{name!r} lacks its Zip64 sizes")
            (value,) = struct.unpack_from("<Q", long_values)
            long_values = long_values[8:]
        values.append(value)
    return tuple(values)


def _extras(extra: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    seen = set()
    while extra:
        if len(extra) < 4:
            raise ZipFault(f"{name!r} has a damaged extra field")
        kind, length = struct.unpack_from("<2H", extra)
        value, rest = extra[4 : 4 + length], extra[4 + length :]
        if len(value) < length or kind in seen:
            raise ZipFault(f"{name!r} has a damaged extra field")
        if kind == _UNICODE_PATH_EXTRA:
            raise ZipFault(f"{name!r} carries a second name")
        seen.add(kind)
        yield kind, value
        extra = rest


def local_bytes(header: bytes) -> int:
    """Length of a local header with its name and extra field, from its first LOCAL.size bytes."""
    if len(header) < LOCAL.size or header[:4] != LOCAL_SIGNATURE:
        raise ZipFault("a local header is not where the central directory says")
    fields = LOCAL.unpack(header[: LOCAL.size])
    return LOCAL.size + int(fields[9]) + int(fields[10])


def check_local(header: bytes, member: Member) -> None:
    """Refuse a whole local header that does not say the same as the central directory."""
    fields = LOCAL.unpack(header[: LOCAL.size])
    name_end = LOCAL.size + fields[9]
    encoded = member.name.encode("utf-8")
    if header[LOCAL.size : name_end] != encoded:
        raise ZipFault(f"{member.name!r} has another name in its local header")
    size, packed = _zip64(header[name_end:], member.name, (fields[8], fields[7]))
    stated = (fields[2], fields[3], fields[6], packed, size)
    wanted = (member.flags, member.method, member.crc, member.packed_size, member.size)
    left_open = (member.flags, member.method, 0, 0, 0)
    if stated != wanted and not (member.sizes_follow and stated == left_open):
        raise ZipFault(f"{member.name!r} is described differently by its local header")


def check_descriptor(record: bytes, member: Member) -> None:
    """Refuse what stands after a member's data unless it repeats the central directory."""
    values = (member.crc, member.packed_size, member.size)
    forms = []
    for layout in ("<3I", "<I2Q"):
        if layout == "<I2Q" or max(values) <= MAX32:
            packed = struct.pack(layout, *values)
            forms += [packed, DESCRIPTOR_SIGNATURE + packed]
    if record not in forms:
        raise ZipFault(f"{member.name!r} is followed by what does not belong to it")
