"""A span of a file proved by the blocks in it, for it has no digest of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from bitstation.core.blockmap import Block, BlockMap
from bitstation.core.bundle import Span
from bitstation.errors import DigestMismatch


class SpanProof:
    """Takes the bytes of a span in order; blocks that lie in it only in part are passed over."""

    def __init__(self, blockmap: BlockMap, span: Span, source: str) -> None:
        self._blocks = _inside(blockmap, span)
        self._block = next(self._blocks, None)
        self._position = span.offset
        self._hasher = hashlib.sha256()
        self._source = source

    def take(self, data: memoryview) -> None:
        """Hash the next bytes. Raises DigestMismatch for a block that is another."""
        while data and (block := self._block):
            skipped = max(0, block.offset - self._position)
            self._position, data = self._position + min(skipped, len(data)), data[skipped:]
            piece = data[: block.offset + block.length - self._position]
            self._hasher.update(piece)
            self._position, data = self._position + len(piece), data[len(piece) :]
            if self._position == block.offset + block.length:
                self._check(block)

    def _check(self, block: Block) -> None:
        if self._hasher.digest() != block.digest:
            raise DigestMismatch(
                path=f"the block at {block.offset}",
                source=self._source,
                expected=block.digest.hex(),
                actual=self._hasher.hexdigest(),
            )
        self._hasher, self._block = hashlib.sha256(), next(self._blocks, None)


def _inside(blockmap: BlockMap, span: Span) -> Iterator[Block]:
    for block in blockmap.blocks():
        if block.offset >= span.offset and block.offset + block.length <= span.end:
            yield block
