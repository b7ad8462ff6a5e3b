"""Adopt files: prove each once by reading it, map those that are models, remember them all.

The files are opened for reading only. What an interrupted run had read, the next does not read
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import msgspec

from bitstation import host
from bitstation.core.adopted import Adopted
from bitstation.core.blockmap import BlockMap
from bitstation.core.digest import Digest
from bitstation.errors import FileChanged, StoreError
from bitstation.models.layout import Layout
from bitstation.storage.adopted import adopted_files, has_map, path_of, remember
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.mapping import find_layout, prove_model
from bitstation.storage.proving import batches, prove_files
from bitstation.storage.tree import ToolsRoot
from bitstation.worker.search import FoundFile, LeftOut

# Files read before they are remembered: a kill costs at most this much reading again.
_BATCH_BYTES = 1024 * 1024 * 1024

OnTotal = Callable[[int], OnBytes]
"""Told once how many bytes will be read; the answer takes each count of them that were."""


class AdoptIncomplete(StoreError):
    """Some of what was named could not be looked at; the rest is adopted."""

    code = "adopt-incomplete"
    exit_code = 70
    message = "{count} paths were not adopted: {detail}"
    hint = "let whatever writes to them finish, or name smaller folders; what was adopted stays"


class Adoption(msgspec.Struct, frozen=True):
    """What was adopted, how much of it was read now, and what could not be."""

    adopted: tuple[Adopted, ...]
    read_bytes: int
    left_out: tuple[LeftOut, ...]


class AdoptedState(msgspec.Struct, frozen=True):
    """An adopted file now: here, touched (to be read again), changed or gone."""

    path: str
    sha256: Digest
    size: int
    link: bool
    state: str


def adopted_states(root: ToolsRoot, ledger: Ledger | None) -> list[AdoptedState]:
    """Every adopted file and what has become of it, by looking only. Raises OSError."""
    return [
        AdoptedState(row.path, row.sha256, row.size, row.link, _state(row, ledger))
        for row in adopted_files(root)
    ]


def _state(row: Adopted, ledger: Ledger | None) -> str:
    try:
        facts = host.stat_facts(path_of(row))
    except OSError:
        return "gone"
    if not facts.is_file:
        return "gone"
    proof = ledger.proof(facts) if ledger else None
    if facts.size != row.size or proof not in (None, row.sha256):
        return "changed"
    return "here" if proof else "touched"


class Adopting:
    """One run over files; models are read one after the other, others several at once."""

    def __init__(
        self,
        root: ToolsRoot,
        ledger: Ledger,
        *,
        link: bool = False,
        disk: Disk | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._root = root
        self._ledger = ledger
        self._link = link
        self._disk = disk or Disk()
        self._stop = stop or Stop()
        self._adopted: list[Adopted] = []
        self._left_out: list[LeftOut] = []
        self._maps: dict[Digest, BlockMap] = {}
        self._remembered = 0
        self._read_bytes = 0
        self._counting = Lock()
        self._on_bytes: OnBytes | None = None

    def bytes_to_read(self, files: Sequence[FoundFile]) -> int:
        """Bytes of those files that are not proved, or are models without a map."""
        return sum(found.facts.size for found in files if self._lacks(found))

    def adopt(self, files: Sequence[FoundFile], on_total: OnTotal | None = None) -> Adoption:
        """Remember files by what they hold; each is read once, unless the ledger proves it.

        Raises UpdateCancelled, StoreError, StoreLocked, OSError; what was read by then is
        remembered. Memory: flat but for the maps of a batch of 1 GiB, or of one larger file.
        """
        if total_bytes := self.bytes_to_read(files):
            self._on_bytes = on_total(total_bytes) if on_total else None
        for batch in batches(files, _BATCH_BYTES):
            try:
                self._take(batch)
            finally:
                self._remember()
        return Adoption(tuple(self._adopted), self._read_bytes, tuple(self._left_out))

    def _lacks(self, found: FoundFile) -> bool:
        digest = self._ledger.proof(found.facts)
        if digest is None:
            return True
        return (
            not has_map(self._root, digest)
            and find_layout(host.native_path(found.path)) is not None
        )

    def _count(self, count: int) -> None:
        with self._counting:
            self._read_bytes += count
        if self._on_bytes:
            self._on_bytes(count)

    def _take(self, batch: Sequence[FoundFile]) -> None:
        opaque = []
        for found in batch:
            self._stop.check()
            layout = find_layout(host.native_path(found.path)) if self._lacks(found) else None
            if layout is None:
                opaque.append(found)
            else:
                self._map(found, layout)
        paths = [host.native_path(found.path) for found in opaque]
        proofs = prove_files(paths, self._ledger, on_bytes=self._count, stop=self._stop)
        for found, proof in zip(opaque, proofs, strict=True):
            if proof.digest is None or proof.facts is None:
                self._left_out.append(LeftOut(str(found.path), "changing or unreadable"))
            else:
                self._adopt(found.path, proof.digest, proof.facts.size)

    def _map(self, found: FoundFile, layout: Layout) -> None:
        path = host.native_path(found.path)
        try:
            blockmap = prove_model(path, layout, self._ledger, self._count, self._stop)
        except (OSError, FileChanged) as error:
            self._left_out.append(LeftOut(str(found.path), str(error)))
            return
        self._maps[blockmap.file_digest] = blockmap
        self._adopt(found.path, blockmap.file_digest, blockmap.size_bytes)

    def _adopt(self, path: Path, digest: Digest, size_bytes: int) -> None:
        self._adopted.append(Adopted(str(path), digest, size_bytes, self._link))

    def _remember(self) -> None:
        fresh, maps = self._adopted[self._remembered :], self._maps
        if fresh:
            remember(self._root, fresh, maps, self._disk)
        self._remembered, self._maps = len(self._adopted), {}
