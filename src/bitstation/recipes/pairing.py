"""Which file of a base a file is the next version of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from bitstation.core.blockmap import BlockMap
from bitstation.core.manifest import Entry
from bitstation.recipes.kinds import filling
from bitstation.recipes.known import Known, distinct

# A file of the same path that shares nothing may be another thing by now; one that shares more
# than a sixteenth is nearer.
_SHARE_THAT_COUNTS = 16

# Versions of libraries stand in their names: libfoo.so.2600, foo-1.2.3.dll, and wheels add eight
# hexadecimal digits of a digest.
_DIGEST = re.compile(r"(?<=[-_.])[0-9a-f]{8,64}(?=[.-])")
_NUMBER = re.compile(r"[0-9]+(?:[._-][0-9]+)*")


def without_version(path: str) -> str:
    """A path or name with every number, and every digest within, as #."""
    return _NUMBER.sub("#", _DIGEST.sub("#", path.lower()))


class Pairs:
    """The files of a base by path, by name without version, and by block."""

    def __init__(self, base: Known) -> None:
        self.base = base
        self.digests: set[bytes] = set()
        """Of all its blocks: whoever holds the base needs nothing for these."""
        self._entries = [entry for entry in distinct(base.manifest.entries) if entry.size]
        self._paths: dict[str, int] = {}
        self._alike: dict[str, list[int]] = {}
        self._holders: dict[bytes, int] = {}
        numbers = {entry.sha256: number for number, entry in enumerate(self._entries)}
        for entry in base.manifest.entries:
            if entry.sha256 in numbers:
                self._add_names(entry, numbers[entry.sha256])
        for number, entry in enumerate(self._entries):
            self._add_blocks(base.map_of(entry), number)

    def find(self, entry: Entry, blockmap: BlockMap) -> Entry | None:
        """The file of the base that a patch should start from; None where there is none."""
        number = self._sharing(blockmap)
        if number is None:
            number = self._paths.get(entry.path)
        if number is None:
            number = self._named(entry)
        return None if number is None else self._entries[number]

    def new_blocks(self, blockmap: BlockMap) -> list[int]:
        """Numbers of the blocks that whoever holds the base still lacks."""
        return [
            number
            for number in range(len(blockmap))
            if blockmap.digest(number) not in self.digests and filling(blockmap, number) is None
        ]

    def _add_names(self, entry: Entry, number: int) -> None:
        self._paths[entry.path] = number
        path = without_version(entry.path)
        for name in {path, path.rpartition("/")[2]}:
            self._alike.setdefault(name, []).append(number)

    def _add_blocks(self, blockmap: BlockMap, number: int) -> None:
        for block in range(len(blockmap)):
            digest = blockmap.digest(block)
            self.digests.add(digest)
            if filling(blockmap, block) is None:
                self._holders.setdefault(digest, number)

    def _sharing(self, blockmap: BlockMap) -> int | None:
        shares: Counter[int] = Counter()
        for number, length in enumerate(blockmap.lengths):
            holder = self._holders.get(blockmap.digest(number))
            if holder is not None:
                shares[holder] += length
        best = _most(shares)
        enough = best is not None and shares[best] * _SHARE_THAT_COUNTS > blockmap.size_bytes
        return best if enough else None

    def _named(self, entry: Entry) -> int | None:
        path = without_version(entry.path)
        for name in (path, path.rpartition("/")[2]):
            if name in self._alike:
                return self._nearest(self._alike[name], entry.size)
        return None

    def _nearest(self, numbers: Sequence[int], size_bytes: int) -> int:
        return min(numbers, key=lambda number: abs(self._entries[number].size - size_bytes))


def _most(shares: Counter[int]) -> int | None:
    """The file with the largest share, of equal ones the first: the same answer on every run."""
    keys: Iterable[int] = shares
    return min(keys, key=lambda number: (-shares[number], number), default=None)
