"""Where a model is cut into blocks: within spans, never across them.

- Every span is cut from its own start, so that equal tensors have equal blocks wherever they lie,
  and a tensor that only grew at its end keeps all blocks but the last.
- Padding is never joined to anything. Between header and tensors its length follows the header's,
  and would change a neighbour's block at every edit. After a tensor it follows the tensor's own
  length, so joining it would be harmless among GGUF files of one alignment; but safetensors has
  none, nor has the last tensor of some writers, and there the same weights would no longer be the
  same blocks. It is rare: none of the 103 tensors of all-MiniLM-L6-v2 in F16 needs any, nor of the
  263 of a benchmark model in Q8_0 and Q4_0. A map need not spend a digest on it where it is what
  the formats say, zeroes (GGUF) or spaces (safetensors); nobody has looked yet.
- Header spans are cut like tensors. The parsers have cut off large metadata values already, so an
  edit near the front shifts nothing inside any other span.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import groupby

import msgspec

from bitstation.core.blockmap import DIGEST_BYTES, Group
from bitstation.core.digest import Digest
from bitstation.models.layout import Layout, SpanKind

BLOCK_BYTES = 1 << 20
"""At 35 bytes a row, a map takes 35 KB for each GB of model."""

LEAST_MEAN_BYTES = 4096


class Block(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a file; ``span`` is the number of the span that holds it."""

    offset: int
    length: int
    span: int


def cut_model(layout: Layout) -> Iterator[Block]:
    """Blocks of at most 1 MiB that cover the file exactly, in its order."""
    for number, span in enumerate(layout.spans):
        for offset in range(span.offset, span.end, BLOCK_BYTES):
            yield Block(offset, min(BLOCK_BYTES, span.end - offset), number)


def cut_pieces(layout: Layout, most_bytes: int) -> Iterator[list[int]]:
    """Lengths of blocks, as many together as fit into a piece: no block is in two of them."""
    lengths: list[int] = []
    size_bytes = 0
    for block in cut_model(layout):
        if size_bytes + block.length > most_bytes:
            yield lengths
            lengths, size_bytes = [], 0
        lengths.append(block.length)
        size_bytes += block.length
    if lengths:
        yield lengths


def group_blocks(layout: Layout, digests: bytes) -> Iterator[Group]:
    """Tensors of several blocks; ``digests`` are those of all blocks, one after the other."""
    first = 0
    for number, members in groupby(block.span for block in cut_model(layout)):
        count = sum(1 for _ in members)
        if count > 1 and layout.spans[number].kind is SpanKind.TENSOR:
            raw = digests[first * DIGEST_BYTES : (first + count) * DIGEST_BYTES]
            yield Group(first, count, Digest(hashlib.sha256(raw).hexdigest()))
        first += count


def is_too_fine(layout: Layout) -> bool:
    """Say whether blocks would be so small that a map took 1 % of the file: cut it by content then.

    Such are models for tests, and files made to be a burden: 250,000 tensors of one byte.
    """
    blocks = sum(-(-span.length // BLOCK_BYTES) for span in layout.spans)
    return layout.size_bytes < blocks * LEAST_MEAN_BYTES
