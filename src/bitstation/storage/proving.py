"""Prove files: by the ledger where their facts still hold, else by reading them once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.errors import FileChanged
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import OnBytes, Stop, hash_file
from bitstation.storage.ledger import Ledger

# Files hashed before their proofs are recorded: a kill costs at most this much hashing again.
_BATCH_BYTES = 4 * 1024 * 1024 * 1024
# Systems write what is in memory only to the disk within a minute, frugal laptops within ten.
_WRITTEN_BACK_NS = 600 * 1_000_000_000

Sync = Callable[[Path], None]


class Proof(NamedTuple):
    """What is known of a file.

    ``digest`` is None when it is absent, no plain file, cannot be read, changes while it is read,
    or cannot be made durable; ``facts`` is None when there is no such name.
    """

    digest: Digest | None
    by_hash: bool
    facts: host.StatFacts | None


class _Unread(NamedTuple):
    number: int
    path: Path
    facts: host.StatFacts


def prove_files(  # noqa: PLR0913 - each of them is the caller's to say
    paths: Sequence[Path],
    ledger: Ledger,
    *,
    deep: bool = False,
    on_total: OnBytes | None = None,
    on_bytes: OnBytes | None = None,
    stop: Stop | None = None,
    sync: Sync | None = None,
) -> list[Proof]:
    """Proofs of files, in order; what had to be hashed is recorded. ``deep`` hashes all.

    A file that changed of late is made durable first (by ``sync``): a record may outlive a loss of
    power, and so must the content that it speaks of. ``on_total`` is told once how many bytes will
    be hashed, when there are any; ``on_bytes`` each count of them that was.

    Raises UpdateCancelled, StoreError of the ledger.
    Cost: a stat and a lookup a file, plus one read of each file that the ledger does not prove.
    """
    proofs = [_known(path, ledger, deep) for path in paths]
    if not deep:
        _look_again(paths, proofs, ledger)
    unread = [
        _Unread(index, paths[index], proof.facts)
        for index, proof in enumerate(proofs)
        if proof.digest is None and proof.facts is not None and proof.facts.is_file
    ]
    if unread and on_total:
        on_total(sum(each.facts.size for each in unread))
    for batch in batches(unread, _BATCH_BYTES):
        # Before the reading, for a later change in the tick of the last one would not show.
        moment_ns = ledger.moment_past(each.facts for each in batch)
        hashed = _hash_all(batch, on_bytes, stop)
        known = []
        for each, proof in zip(batch, hashed, strict=True):
            proofs[each.number] = proof
            if proof.facts is None or proof.digest is None:
                continue
            try:
                if is_durable(each.path, proof.facts, moment_ns, sync):
                    known.append((proof.facts, proof.digest))
            except OSError:
                # A second try would not tell: the system takes what it could not write as written.
                proofs[each.number] = Proof(None, True, proof.facts)
        ledger.record(known, read_from_ns=moment_ns)
    return proofs


def is_durable(path: Path, facts: host.StatFacts, now_ns: int, sync: Sync | None = None) -> bool:
    """Say whether a file that was just read is on the disk, having made sure if need be.

    False where it may not be opened for that, as a read-only file of Windows: a record of it can
    wait until it is old enough. Raises OSError when it did not get to the disk.
    """
    if now_ns - facts.change_ns >= _WRITTEN_BACK_NS:
        return True
    try:
        (sync or Disk().sync_path)(path)
    except PermissionError:
        return False
    return True


def _known(path: Path, ledger: Ledger, deep: bool) -> Proof:
    try:
        facts = host.stat_facts(path)
    except OSError:
        return Proof(None, False, None)
    return Proof(None if deep else ledger.proof(facts), False, facts)


def _look_again(paths: Sequence[Path], proofs: list[Proof], ledger: Ledger) -> None:
    """A run beside us may be between its own change of a stamp and the record of it."""
    missing = [
        number for number, proof in enumerate(proofs) if proof.digest is None and proof.facts
    ]
    if missing:
        with ledger.locked():
            for number in missing:
                proofs[number] = _known(paths[number], ledger, deep=False)


class _Sized(Protocol):
    @property
    def facts(self) -> host.StatFacts: ...


T = TypeVar("T", bound=_Sized)


def batches(files: Sequence[T], most_bytes: int) -> Iterator[list[T]]:
    """Files in their order, in lists that end once they come to ``most_bytes``."""
    batch: list[T] = []
    size_bytes = 0
    for each in files:
        batch.append(each)
        size_bytes += each.facts.size
        if size_bytes >= most_bytes:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _hash_all(batch: Sequence[_Unread], on_bytes: OnBytes | None, stop: Stop | None) -> list[Proof]:
    """Hash several files at once, largest first, so that no thread ends with a big one alone."""
    pool = host.shared_pool()
    order = sorted(range(len(batch)), key=lambda position: -batch[position].facts.size)
    futures = {
        position: pool.submit(_hashed, batch[position], on_bytes, stop) for position in order
    }
    try:
        return [futures[position].result() for position in range(len(batch))]
    finally:
        for future in futures.values():
            future.cancel()


def _hashed(each: _Unread, on_bytes: OnBytes | None, stop: Stop | None) -> Proof:
    """Proof by reading. One file that cannot be read must not hide what the others are."""
    try:
        facts, digest = hash_file(each.path, on_bytes, stop)
    except (OSError, FileChanged):
        return Proof(None, True, each.facts)
    return Proof(digest, True, facts)
