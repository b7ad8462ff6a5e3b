"""Block maps: which blocks a file is made of, as its publisher cut it.

A worker never cuts: published offsets are the truth, so two machines can never disagree about
them. Digests of blocks find equal bytes in other files and other releases; that a file came out
right is decided by its own SHA-256. Byte by byte specified in docs/formats.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from bitstation.core.canonical import MAX_INTEGER
from bitstation.core.digest import Digest
from bitstation.core.varint import BinaryFault, BinaryReader, encode_varint
from bitstation.errors import ManifestError

MAGIC = b"BSBM"
VERSION = 1
DIGEST_BYTES = 32
MAX_BLOCK_BYTES = 1024 * 1024
MAX_BLOCKS = 4_000_000
"""Of one file: 4 TB of model, or 256 GB cut by content."""
MAX_MAP_BYTES = 160 * 1024 * 1024


class Cut(enum.IntEnum):
    """How a file was cut; ids are never given a second meaning."""

    WHOLE = 0
    CONTENT = 1
    """By content (FastCDC), for files whose format is not known."""
    TENSORS = 2
    """At the borders of tensors, for GGUF and safetensors."""


class Block(NamedTuple):
    """A span of a file: offset and length in bytes, SHA-256 of its bytes (32 bytes)."""

    offset: int
    length: int
    digest: bytes


class Group(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Consecutive blocks that belong together, as of one tensor.

    ``digest`` is the SHA-256 of their digests one after the other (32 bytes each): equal for
    equal tensors, and made without reading them a second time.
    """

    first: int
    count: int
    digest: Digest


class BlockMap(msgspec.Struct, frozen=True):
    """The blocks of one file, in order, without gap or overlap.

    ``digests`` holds 32 bytes a block, one after the other: millions of blocks are then a few
    objects and not millions.
    """

    file_digest: Digest
    size_bytes: int
    cut: Cut
    lengths: tuple[int, ...]
    digests: bytes
    groups: tuple[Group, ...] = ()

    def __len__(self) -> int:
        """Count of blocks."""
        return len(self.lengths)

    def digest(self, number: int) -> bytes:
        """SHA-256 of a block, 32 bytes."""
        return self.digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]

    def blocks(self) -> Iterator[Block]:
        """Blocks with their offsets."""
        offset = 0
        for number, length in enumerate(self.lengths):
            yield Block(offset, length, self.digest(number))
            offset += length


def whole_map(file_digest: Digest, size_bytes: int) -> BlockMap:
    """Map of a file that is one block, or none where it is empty."""
    lengths = (size_bytes,) if size_bytes else ()
    digests = bytes.fromhex(file_digest) if size_bytes else b""
    return BlockMap(file_digest, size_bytes, Cut.WHOLE, lengths, digests)


def encode_blockmap(blockmap: BlockMap) -> bytes:
    """Bytes of a map; the same map always gives the same ones."""
    lengths = b"".join(map(encode_varint, blockmap.lengths))
    groups = b"".join(_encoded_groups(blockmap.groups))
    return b"".join(
        [
            MAGIC,
            bytes([VERSION, blockmap.cut]),
            bytes.fromhex(blockmap.file_digest),
            encode_varint(blockmap.size_bytes),
            encode_varint(len(blockmap.lengths)),
            lengths,
            blockmap.digests,
            encode_varint(len(blockmap.groups)),
            groups,
        ]
    )


def parse_blockmap(data: bytes, *, what: str = "the block map") -> BlockMap:
    """Map of its bytes. Raises ManifestError. Cost: about 1 microsecond a block."""
    if len(data) > MAX_MAP_BYTES:
        raise ManifestError.of(what, [f"larger than {MAX_MAP_BYTES} bytes"])
    try:
        return _parsed(BinaryReader(data))
    except BinaryFault as fault:
        raise ManifestError.of(what, [str(fault)]) from fault


def _parsed(reader: BinaryReader) -> BlockMap:
    if reader.take(4) != MAGIC:
        raise BinaryFault("does not begin as a block map does")
    version, cut = reader.take(2)
    if version != VERSION or cut not in Cut.__members__.values():
        raise BinaryFault(f"version {version} or way of cutting {cut} is not known")
    file_digest = Digest(reader.take(DIGEST_BYTES).hex())
    size_bytes = reader.varint(MAX_INTEGER)
    # Each block takes at least a length and a digest, so a lying count is refused before memory
    # is spent on it.
    count = reader.varint(min(MAX_BLOCKS, reader.left // (1 + DIGEST_BYTES)))
    lengths = tuple(reader.varint(MAX_BLOCK_BYTES) for _ in range(count))
    if sum(lengths) != size_bytes or 0 in lengths:
        raise BinaryFault(f"lengths of blocks sum to {sum(lengths)}, not to {size_bytes}")
    digests = reader.take(count * DIGEST_BYTES)
    groups = _groups(reader, count)
    reader.end()
    return BlockMap(file_digest, size_bytes, Cut(cut), lengths, digests, groups)


def _encoded_groups(groups: Sequence[Group]) -> Iterator[bytes]:
    end = 0
    for group in groups:
        yield encode_varint(group.first - end) + encode_varint(group.count)
        yield bytes.fromhex(group.digest)
        end = group.first + group.count


def _groups(reader: BinaryReader, blocks: int) -> tuple[Group, ...]:
    """Groups in order: each states how many blocks lie between it and the one before it."""
    groups, end = [], 0
    for _ in range(reader.varint(reader.left // (2 + DIGEST_BYTES))):
        first = end + reader.varint(blocks - end)
        count = reader.varint(blocks - first)
        if count < 2:
            # One block has a digest of its own already.
            raise BinaryFault(f"a group of {count} blocks")
        groups.append(Group(first, count, Digest(reader.take(DIGEST_BYTES).hex())))
        end = first + count
    return tuple(groups)
