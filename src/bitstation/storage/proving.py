"""Prove files: by the ledger where their facts still hold, else by reading them once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.storage.hashing import OnBytes, Stop, hash_files
from bitstation.storage.ledger import Ledger

# Files hashed before their proofs are recorded: a kill costs at most this much hashing again.
_BATCH_BYTES = 4 * 1024 * 1024 * 1024


class Proof(NamedTuple):
    """What is known of a file. ``digest`` is None when it is absent or no plain file."""

    digest: Digest | None
    by_hash: bool
    facts: host.StatFacts | None


_ABSENT = Proof(None, False, None)


def prove_files(
    paths: Sequence[Path],
    ledger: Ledger,
    *,
    deep: bool = False,
    on_total: OnBytes | None = None,
    on_bytes: OnBytes | None = None,
    stop: Stop | None = None,
) -> list[Proof]:
    """Proofs of files, in order; what had to be hashed is recorded. ``deep`` hashes all.

    ``on_total`` is told once how many bytes will be hashed, when there are any; ``on_bytes`` each
    count of them that was.

    Raises FileChanged when a file changes while it is read, UpdateCancelled, OSError.
    Cost: a stat and a lookup a file, plus one read of each file that the ledger does not prove.
    """
    proofs = [_ABSENT if deep else _known(path, ledger) for path in paths]
    missing = [
        index
        for index, proof in enumerate(proofs)
        if proof.digest is None and paths[index].is_file() and not host.is_link(paths[index])
    ]
    if missing and on_total:
        on_total(sum(paths[index].stat().st_size for index in missing))
    for batch in _batches(missing, paths):
        hashed = hash_files([paths[index] for index in batch], on_bytes, stop)
        ledger.record(hashed)
        for index, (facts, digest) in zip(batch, hashed, strict=True):
            proofs[index] = Proof(digest, True, facts)
    return proofs


def _known(path: Path, ledger: Ledger) -> Proof:
    try:
        facts = host.stat_facts(path)
    except OSError:
        return _ABSENT
    return Proof(ledger.proof(facts), False, facts)


def _batches(indices: Sequence[int], paths: Sequence[Path]) -> Iterator[list[int]]:
    batch: list[int] = []
    size_bytes = 0
    for index in indices:
        batch.append(index)
        size_bytes += paths[index].stat().st_size
        if size_bytes >= _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch
