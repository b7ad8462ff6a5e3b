"""Frames of neighbouring blocks that pay, each unpacked and proved before it counts.

Opaque files, measured on the files beyond 64 KiB of three wheels (287 MB) and of a tool
without its models (42 MB), in MB, and seconds on two cores for the wheels:

| level | 256 KiB | 1 MiB | 4 MiB | seconds at 1 MiB |
|---|---|---|---|---|
| 3 | 94.8, 12.7 | 92.6, 12.0 | 91.1, 11.5 | 0.7 |
| 6 | 91.5, 12.1 | 87.4, 11.3 | 85.3, 10.6 | 1.6 |
| 9 | 88.5, 11.8 | 86.4, 11.1 | 83.5, 10.3 | 2.1 |
| 12 | 88.1, 11.8 | 85.9, 11.1 | 82.8, 10.2 | 3.3 |
| 19 | | 77.9, 10.1 | | 32 |

1 MiB, for a worker that lacks one block of a frame fetches all of it; level 9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bitstation.codec.blocks import pack_block, unpack_block
from bitstation.codec.zstd import ZstdFault, compress
from bitstation.core.recipe import Codec

FRAME_BYTES = 1 << 20
LEVEL = 9
TENSOR_LEVEL = 1
"""What zstd gains on weights is the table of their bytes' frequencies, which no level betters."""

SAMPLE_BYTES = 64 << 10
LEAST_SAVING_BYTES = 64
_MOST_PERCENT = 97


class Blocks(NamedTuple):
    """Neighbouring blocks: their bytes, and the length and digest that the map has of each."""

    data: bytes
    lengths: Sequence[int]
    digests: Sequence[bytes]

    def each(self) -> Iterator[Blocks]:
        """Every block for itself."""
        at = 0
        for length, digest in zip(self.lengths, self.digests, strict=True):
            yield Blocks(self.data[at : at + length], (length,), (digest,))
            at += length


class Packed(NamedTuple):
    """The frame of some blocks, counted from the first of those given."""

    first: int
    blocks: int
    codec: Codec
    frame: bytes


def choose(data: bytes, codecs: Sequence[Codec]) -> Codec:
    """The codec that packs a sample from the middle best; RAW where none pays."""
    start = max(0, (len(data) - SAMPLE_BYTES) // 2)
    sample = data[start : start + SAMPLE_BYTES]
    sizes = {codec: len(pack_block(sample, codec)) for codec in codecs}
    best = min(sizes, key=lambda codec: (sizes[codec], codec))
    return best if sizes[best] * 100 <= len(sample) * _MOST_PERCENT else Codec.RAW


def pack_blocks(blocks: Blocks, codecs: Sequence[Codec], level: int = LEVEL) -> list[Packed]:
    """Frames of neighbouring blocks; blocks that do better as they are have none.

    Text and code gain by one frame for all. Planes gain nothing, so each block has its own: then an
    edit never makes a worker fetch what it has.
    """
    # A sample that does not pack says little of a file of several parts: zstd is quick to give up.
    codec = codecs[0] if len(codecs) == 1 else choose(blocks.data, codecs) or Codec.ZSTD
    if codec is Codec.ZSTD:
        frame = compress(blocks.data, level)
        return [Packed(0, len(blocks.lengths), codec, frame)] if _pays(frame, codec, blocks) else []
    found = []
    for number, block in enumerate(blocks.each() if codec is not Codec.RAW else ()):
        frame = pack_block(block.data, codec)
        if _pays(frame, codec, block):
            found.append(Packed(number, 1, codec, frame))
    return found


def _pays(frame: bytes, codec: Codec, blocks: Blocks) -> bool:
    size_bytes = len(blocks.data)
    if len(frame) > min(size_bytes - LEAST_SAVING_BYTES, size_bytes * _MOST_PERCENT // 100):
        return False
    try:
        content = bytes(unpack_block(frame, codec, size_bytes))
    except ZstdFault:
        return False
    # Also where a file is not any more what it was when it was mapped.
    proved = blocks._replace(data=content).each()
    return all(hashlib.sha256(each.data).digest() == each.digests[0] for each in proved)
