"""Recipes: how the blocks of a file can be made, as a publisher found it worth to say.

A recipe is a list of independent segments, each a run of whole blocks of the file's map and one
step of a closed set. What no segment names is fetched as it is, out of the file's own blob, and so
is a segment whose step this version does not know: a newer publisher costs an older worker bytes,
never the update. The output of a segment is proved by the digests that the map has of its blocks.
Byte by byte specified in docs/formats.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec

from bitstation.core.blockmap import MAX_BLOCKS
from bitstation.core.canonical import MAX_INTEGER
from bitstation.core.digest import Digest
from bitstation.core.varint import BinaryFault, BinaryReader, encode_varint, encode_zigzag
from bitstation.errors import ManifestError

MAGIC = b"BSRC"
VERSION = 1
INLINE = Digest("")
"""Stands for the blob of a step whose bytes lie in the guide itself."""

MAX_RECIPES_BYTES = 64 * 1024 * 1024
MAX_SEGMENTS = 4_000_000
MAX_BLOBS = 100_000
MAX_PAYLOAD_BYTES = 256
MAX_OUTPUT_BYTES = 64 * 1024 * 1024
"""Of one segment that is unpacked or patched: what a worker holds in memory for it."""
MAX_PATCH_BYTES = 96 * 1024 * 1024
"""Of a base and the output made from it together."""

_DIGEST_BYTES = 32

# Held to by plans, which lie on the disk as JSON; recipes are checked as they are read.
Offset = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Length = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
BaseLength = Annotated[int, msgspec.Meta(ge=0, le=MAX_OUTPUT_BYTES)]
ByteValue = Annotated[int, msgspec.Meta(ge=0, le=255)]
Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_BLOCKS)]


class Op(enum.IntEnum):
    """Ids of steps; ids are never given a second meaning."""

    COPY = 1
    FETCH = 2
    ZPATCH = 3
    FILL = 4


class Codec(enum.IntEnum):
    """How fetched bytes are packed; ids are never given a second meaning."""

    RAW = 0
    ZSTD = 1
    PLANES_2 = 2
    """Byte planes of 2-byte numbers one after the other, in one zstd frame."""
    PLANES_4 = 3


class Copy(msgspec.Struct, frozen=True, array_like=True, tag=int(Op.COPY), gc=False):
    """Bytes of a local blob, from ``offset`` on."""

    blob: Digest
    offset: Offset


class Fetch(msgspec.Struct, frozen=True, array_like=True, tag=int(Op.FETCH), gc=False):
    """``length`` bytes of a blob from ``offset`` on, packed as ``codec`` says."""

    codec: Codec
    blob: Digest
    offset: Offset
    length: Length


class Patch(msgspec.Struct, frozen=True, array_like=True, tag=int(Op.ZPATCH), gc=False):
    """A zstd frame (``length`` bytes of ``blob`` at ``offset``) over a span of a local base."""

    base: Digest
    base_offset: Offset
    base_length: BaseLength
    blob: Digest
    offset: Offset
    length: Length


class Fill(msgspec.Struct, frozen=True, array_like=True, tag=int(Op.FILL), gc=False):
    """One byte value over and over."""

    value: ByteValue


Step = Copy | Fetch | Patch | Fill


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``count`` blocks of a file from block ``first`` on, and the step that gives them."""

    first: Number
    count: Number
    step: Step

    @property
    def end(self) -> int:
        """Number of the first block after it."""
        return self.first + self.count


Recipe = tuple[Segment, ...]
Recipes = dict[Digest, Recipe]
"""By the digest of the file that comes out. Segments ascend and do not overlap."""


def encode_recipes(recipes: Mapping[Digest, Sequence[Segment]]) -> bytes:
    """Bytes of recipes; the same ones in the same order give the same bytes."""
    table = _Table()
    body = bytearray(encode_varint(len(recipes)))
    for digest, segments in recipes.items():
        body += bytes.fromhex(digest) + encode_varint(len(segments))
        end = 0
        for segment in segments:
            payload = table.payload(segment.step)
            body += encode_varint(segment.first - end) + encode_varint(segment.count)
            body += bytes([_op(segment.step)]) + encode_varint(len(payload)) + payload
            end = segment.end
    blobs = b"".join(map(bytes.fromhex, table.blobs))
    return MAGIC + bytes([VERSION]) + encode_varint(len(table.blobs)) + blobs + bytes(body)


def parse_recipes(
    data: bytes, counts: Mapping[Digest, int], *, what: str = "the recipes"
) -> Recipes:
    """Recipes of their bytes; segments of unknown steps are left out.

    ``counts``: blocks of each file that has a map; any other file is one block.
    Raises ManifestError.
    """
    if len(data) > MAX_RECIPES_BYTES:
        raise ManifestError.of(what, [f"larger than {MAX_RECIPES_BYTES} bytes"])
    try:
        return _parsed(BinaryReader(data), counts)
    except BinaryFault as fault:
        raise ManifestError.of(what, [str(fault)]) from fault


def _parsed(reader: BinaryReader, counts: Mapping[Digest, int]) -> Recipes:
    if reader.take(4) != MAGIC:
        raise BinaryFault("does not begin as recipes do")
    if (version := reader.take(1)[0]) != VERSION:
        raise BinaryFault(f"version {version} is not known")
    # Each takes at least its digest, so a lying count is refused before memory is spent on it.
    count = reader.varint(min(MAX_BLOBS, reader.left // _DIGEST_BYTES))
    table = _Table([Digest(reader.take(_DIGEST_BYTES).hex()) for _ in range(count)])
    recipes: Recipes = {}
    for _ in range(reader.varint(reader.left // (_DIGEST_BYTES + 1))):
        digest = Digest(reader.take(_DIGEST_BYTES).hex())
        if digest in recipes:
            raise BinaryFault(f"two recipes for {digest}")
        recipes[digest] = tuple(_segments(reader, table, counts.get(digest, 1)))
    reader.end()
    return recipes


def _segments(reader: BinaryReader, table: _Table, blocks: int) -> Iterator[Segment]:
    end = 0
    for _ in range(reader.varint(min(MAX_SEGMENTS, reader.left // 4))):
        first = end + reader.varint(blocks - end)
        count = reader.varint(blocks - first)
        if count == 0:
            raise BinaryFault("a segment of no blocks")
        op = reader.take(1)[0]
        payload = reader.take(reader.varint(MAX_PAYLOAD_BYTES))
        end = first + count
        step = table.step(op, payload)
        if step is not None:
            yield Segment(first, count, step)


def _op(step: Step) -> Op:
    match step:
        case Copy():
            return Op.COPY
        case Fetch():
            return Op.FETCH
        case Patch():
            return Op.ZPATCH
    return Op.FILL


class _Table:
    """The blobs that steps name, and where the step before left off in each.

    Packs are written in the order of their use, so most offsets come out as zero.
    """

    def __init__(self, blobs: Sequence[Digest] = ()) -> None:
        self.blobs = list(blobs)
        self._numbers = {blob: number for number, blob in enumerate(blobs, start=1)} | {INLINE: 0}
        self._ends: dict[int, int] = {}

    def payload(self, step: Step) -> bytes:
        """Bytes of a step, its blobs entered in the table."""
        match step:
            case Copy():
                return self._number(step.blob) + encode_varint(step.offset)
            case Fetch():
                return bytes([step.codec]) + self._span(step.blob, step.offset, step.length)
            case Patch():
                base = self._number(step.base) + encode_varint(step.base_offset)
                base += encode_varint(step.base_length)
                return base + self._span(step.blob, step.offset, step.length)
        return bytes([step.value])

    def step(self, op: int, payload: bytes) -> Step | None:
        """Step of its bytes; None for what is not known. Raises BinaryFault."""
        reader = BinaryReader(payload)
        step: Step
        match op:
            case Op.COPY:
                step = Copy(self._local(reader), reader.varint(MAX_INTEGER))
            case Op.FETCH:
                codec, span = reader.take(1)[0], self._read_span(reader)
                if codec not in Codec.__members__.values():
                    # Its span counts all the same: the next one in that blob is told from its end.
                    return None
                step = Fetch(Codec(codec), *span)
            case Op.ZPATCH:
                base, offset = self._local(reader), reader.varint(MAX_INTEGER)
                length = reader.varint(MAX_OUTPUT_BYTES)
                step = Patch(base, offset, length, *self._read_span(reader))
            case Op.FILL:
                step = Fill(reader.take(1)[0])
            case _:
                return None
        reader.end()
        return step

    def _number(self, blob: Digest) -> bytes:
        if blob not in self._numbers:
            self.blobs.append(blob)
            self._numbers[blob] = len(self.blobs)
        return encode_varint(self._numbers[blob])

    def _span(self, blob: Digest, offset: int, length: int) -> bytes:
        number = self._number(blob)
        ahead = offset - self._ends.get(self._numbers[blob], 0)
        self._ends[self._numbers[blob]] = offset + length
        return number + encode_zigzag(ahead) + encode_varint(length)

    def _local(self, reader: BinaryReader) -> Digest:
        number = reader.varint(len(self.blobs))
        if number == 0:
            raise BinaryFault("a base lies in the guide")
        return self.blobs[number - 1]

    def _read_span(self, reader: BinaryReader) -> tuple[Digest, int, int]:
        number = reader.varint(len(self.blobs))
        offset = self._ends.get(number, 0) + reader.zigzag(MAX_INTEGER)
        length = reader.varint(MAX_PATCH_BYTES)
        if not 0 <= offset <= MAX_INTEGER or length == 0:
            raise BinaryFault(f"a span of {length} bytes at {offset}")
        self._ends[number] = offset + length
        return self.blobs[number - 1] if number else INLINE, offset, length
