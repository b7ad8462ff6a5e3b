"""Archives of which every field is ours to say, written record by record.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5. Nothing of the package is used, so that what it
believes of archives is tried against what they are.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
STORED, DEFLATED = 0, 8
LIMIT16, LIMIT32 = 0xFFFF, 0xFFFFFFFF
UTF8 = 1 << 11
GIB = 1024**3


@dataclass(frozen=True)
class Piece:
    """One member. ``data`` lies in the archive as it is; ``hole`` zeroes follow it for free.

    ``before`` stands before its local header, and no record names it.

    ``local`` and ``central`` replace fields of one record: flags, method, crc, packed, size, name,
    offset, mode, system.
    """

    name: str
    data: bytes = b""
    hole: int = 0
    before: bytes = b""
    size: int | None = None
    crc: int | None = None
    method: int = STORED
    mode: int = 0o100644
    flags: int = UTF8
    zip64: bool = False
    local: dict[str, object] = field(default_factory=dict)
    central: dict[str, object] = field(default_factory=dict)

    def fields(self, offset: int) -> dict[str, object]:
        """What both records say of it."""
        packed = len(self.data) + self.hole
        return {
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.data) if self.crc is None else self.crc,
            "packed": packed,
            "size": packed if self.size is None else self.size,
            "name": self.name.encode(),
            "offset": offset,
            "mode": self.mode,
            "system": 3,
            "extra": b"",
        }


def deflated(name: str, data: bytes, **changes: object) -> Piece:
    """A member that is packed, and says so."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data) + packer.flush()
    facts = {"size": len(data), "crc": zlib.crc32(data), "method": DEFLATED, **changes}
    return Piece(name, packed, **facts)  # type: ignore[arg-type]


def zeroes(blocks: int) -> bytes:
    """A deflate stream of so many times 16 MiB of zeroes, made of one: about 16 KB each."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(16 * 1024**2)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * blocks + b"\x03\x00"


def write_archive(path: Path, pieces: Iterable[Piece], *, end: bytes | None = None) -> Path:
    """Write an archive; ``end`` in place of its end records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        directory = BytesIO()
        count = sum(1 for _ in (_write_piece(file, directory, piece) for piece in pieces))
        start = file.tell()
        file.write(directory.getvalue())
        file.write(end_of(count, len(directory.getvalue()), start) if end is None else end)
    return path


def end_of(count: int, size: int, start: int, *, zip64: bool | None = None) -> bytes:
    """End records, with those of Zip64 where a number needs it or it is wished."""
    needs = count >= LIMIT16 or size >= LIMIT32 or start >= LIMIT32
    long = b""
    if needs if zip64 is None else zip64:
        record = (b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
        long = struct.pack("<4sQ2H2I4Q", *record)
        long += struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1)
    short = (min(count, LIMIT16), min(count, LIMIT16), min(size, LIMIT32), min(start, LIMIT32))
    return long + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *short, 0)


def _write_piece(file: IO[bytes], directory: BytesIO, piece: Piece) -> None:
    file.write(piece.before)
    fields = piece.fields(file.tell())
    file.write(_local({**fields, **piece.local}, zip64=piece.zip64))
    file.write(piece.data)
    file.seek(piece.hole, 1)
    directory.write(_central({**fields, **piece.central}, zip64=piece.zip64))


def _local(of: dict[str, object], *, zip64: bool) -> bytes:
    (size, packed), extra = _shortened([of["size"], of["packed"]], zip64)
    name, extra = of["name"], extra + of["extra"]  # type: ignore[operator]
    head = (b"PK\3\4", 45, of["flags"], of["method"], 0, 33, of["crc"], packed, size)
    return LOCAL.pack(*head, len(name), len(extra)) + name + extra  # type: ignore[arg-type,operator]


def _central(of: dict[str, object], *, zip64: bool) -> bytes:
    (size, packed, offset), extra = _shortened([of["size"], of["packed"], of["offset"]], zip64)
    name, extra = of["name"], extra + of["extra"]  # type: ignore[operator]
    head = (b"PK\1\2", of["system"] << 8 | 45, 45, of["flags"], of["method"], 0, 33)  # type: ignore[operator]
    sizes = (of["crc"], packed, size, len(name), len(extra), 0, 0, 0, of["mode"] << 16, offset)  # type: ignore[arg-type,operator]
    return CENTRAL.pack(*head, *sizes) + name + extra  # type: ignore[operator]


def _shortened(values: list[object], zip64: bool) -> tuple[list[object], bytes]:
    """The values as 32 bits can say them, and the extra field with those that need more."""
    long = [value for value in values if zip64 or value >= LIMIT32]  # type: ignore[operator]
    if not long:
        return values, b""
    short = [LIMIT32 if zip64 or value >= LIMIT32 else value for value in values]  # type: ignore[operator]
    return short, struct.pack(f"<2H{len(long)}Q", 1, 8 * len(long), *long)
