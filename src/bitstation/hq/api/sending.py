"""Blobs on their way out: read in blocks away from the event loop, memory bounded for all.

Measured on two cores, loopback, page cache warm: blocks of 1 MiB 2.1-2.4 GB/s, of 256 KiB 1.2,
of 64 KiB 0.44; Starlette's own FileResponse 0.4. Nothing is hashed here.
"""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from prometheus_client import Counter
from starlette.types import Message, Receive, Send

from bitstation.core.digest import Digest
from bitstation.errors import StoreCorrupt
from bitstation.hq.api.threads import Threads
from bitstation.storage.blobs import BlobFolder
from bitstation.storage.faults import disk_errors

BLOCK_BYTES = 1024 * 1024
LEAST_BLOCK_BYTES = 64 * 1024
BUDGET_BYTES = 48 * 1024 * 1024


class BlockBudget:
    """Memory that blocks on their way to readers may take together.

    A slow reader holds two blocks. Once the budget is spent, blocks are small, so that a thousand
    readers who stopped reading cost what a few fast ones do. Used from the event loop only.
    """

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self.left_bytes = limit_bytes

    def take(self, wanted_bytes: int) -> int:
        """Size of the next block, at most ``wanted_bytes``."""
        granted = min(wanted_bytes, BLOCK_BYTES)
        if granted > self.left_bytes:
            granted = min(granted, LEAST_BLOCK_BYTES)
        self.left_bytes -= granted
        return granted

    def give_back(self, block_bytes: int) -> None:
        """Say that a block has left, or will not be sent."""
        self.left_bytes += block_bytes


class BlobSender:
    """Sends spans of blobs as bodies of answers."""

    def __init__(self, blobs: BlobFolder, threads: Threads, sent: Counter) -> None:
        self._blobs = blobs
        self._threads = threads
        self._sent = sent
        self._budget = BlockBudget()

    async def send_span(
        self, digest: Digest, span: tuple[int, int], start: Message, receive: Receive, send: Send
    ) -> None:
        """Answer with ``span`` (first byte, length) of a blob; ``start`` goes out before it.

        Raises NotFound and StoreError before anything was sent, StoreCorrupt after.
        """
        first, left = span
        file = await self._threads.read(self._open, digest, first)
        blocks: list[int] = []
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await send(start)
            while left and not gone.done():
                blocks.append(self._budget.take(left))
                data = await self._threads.read(self._read, file, digest, blocks[-1])
                # Returns when the block before this one has left for the reader.
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._sent.inc(len(data))
                left -= len(data)
                if len(blocks) > 1:
                    self._budget.give_back(blocks.pop(0))
            # And this when the last one has.
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._budget.give_back(sum(blocks))
            file.close()

    def _open(self, digest: Digest, first: int) -> BinaryIO:
        file = self._blobs.open_read(digest)
        file.seek(first)
        return file

    def _read(self, file: BinaryIO, digest: Digest, count: int) -> bytes:
        with disk_errors(self._blobs.path_of(digest)):
            data = file.read(count)
        if not data:
            raise StoreCorrupt(path=f"blob {digest}", detail="it ends too early")
        return data


async def _disconnected(receive: Receive) -> None:
    """Return when the reader is gone; sending to one that is raises nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass
