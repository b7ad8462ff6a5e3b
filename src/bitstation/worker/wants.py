"""What is still to be fetched for files that are being built."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from bitstation.core.digest import Digest
from bitstation.core.ranges import coalesce, request_bytes
from bitstation.core.recipe import INLINE, Codec, Fetch, Patch, Segment
from bitstation.worker.building import Building


class Want:
    """A span of a blob and the blocks of a file that come of it.

    A block that is fetched as it is may be received in several goes: ``received`` bytes of it are
    in the file, and ``hasher`` has seen them.
    """

    def __init__(self, building: Building, segment: Segment) -> None:
        assert isinstance(segment.step, Fetch | Patch)
        self.building = building
        self.first = segment.first
        self.count = segment.count
        self.step: Fetch | Patch = segment.step
        self.received = 0
        self.is_resumed = False
        """What it began with was left by an interrupted run, and nobody proved it."""
        self.giver = ""
        """Name of the source that gave of it last."""
        self.is_mixed = False
        """Several sources gave of it, so that none can be blamed."""
        self.hasher = hashlib.sha256()
        self.mismatches = 0

    @property
    def blob(self) -> Digest:
        """Blob that the bytes lie in."""
        return self.step.blob

    @property
    def start(self) -> int:
        """Offset in the blob of the next byte that is needed."""
        return self.step.offset + self.received

    @property
    def end(self) -> int:
        """Offset behind the last one."""
        return self.step.offset + self.step.length

    @property
    def is_plain(self) -> bool:
        """Say whether it is one block as it is."""
        return isinstance(self.step, Fetch) and self.step.codec is Codec.RAW and self.count == 1

    @property
    def size_bytes(self) -> int:
        """Bytes of the file that come of it."""
        offsets = self.building.offsets
        return offsets[self.first + self.count] - offsets[self.first]

    def restart(self) -> None:
        """Forget what was received."""
        self.received, self.hasher, self.is_resumed = 0, hashlib.sha256(), False
        self.giver, self.is_mixed = "", False

    def plainly(self) -> list[Want]:
        """The same blocks, each to be fetched as it is."""
        return [Want(self.building, each) for each in self.building.plain(self.first, self.count)]


def wants_of(building: Building) -> Iterator[Want]:
    """What a file needs of sources, in its order; a run of plain blocks is a want for each.

    Of a block of which an interrupted run left a part, only the rest is wanted. Raises OSError.
    """
    for segment in building.entry.fetched():
        want = Want(building, segment)
        is_run = isinstance(want.step, Fetch) and want.step.codec is Codec.RAW
        for each in want.plainly() if is_run and want.blob != INLINE else [want]:
            if not all(building.has(each.first + number) for number in range(each.count)):
                if each.is_plain and (length := building.parts.get(each.first, 0)):
                    _go_on(each, length)
                yield each


def _go_on(want: Want, length: int) -> None:
    """Take in what the file holds of a block already."""
    with want.building.path.open("rb", buffering=0) as file:
        file.seek(want.building.offsets[want.first])
        data = file.read(min(length, want.size_bytes - 1))
    want.hasher.update(data)
    want.received, want.is_resumed = len(data), True


def requests_of(wants: Sequence[Want], connections: int) -> list[list[Want]]:
    """Wants in runs that are asked for together, in the order in which files need them."""
    blobs: dict[Digest, list[Want]] = {}
    place: dict[int, int] = {}
    for number, want in enumerate(wants):
        blobs.setdefault(want.blob, []).append(want)
        place[id(want)] = number
    most = request_bytes(sum(want.end - want.start for want in wants), connections)
    runs = [
        run
        for of_blob in blobs.values()
        for run in coalesce(sorted(of_blob, key=lambda want: want.start), most_bytes=most)
    ]
    runs.sort(key=lambda run: min(place[id(want)] for want in run))
    return runs
