"""Proof that a folder equals its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bitstation import host
from bitstation.core.events import EntryVerified, PhaseChanged
from bitstation.core.manifest import Entry, Manifest
from bitstation.errors import IntegrityError
from bitstation.worker.inventory import is_proved, prove_entries
from bitstation.worker.run import Run


class Verdict(msgspec.Struct, frozen=True):
    """What a verification found; ``damaged`` are entries that are absent or hold other bytes."""

    verified: int
    by_hash: int
    damaged: tuple[Entry, ...]


def verify_folder(
    run: Run, folder: Path, manifest: Manifest, *, deep: bool = False, hashed: Sequence[str] = ()
) -> Verdict:
    """Prove every entry of a release folder, by the ledger where it can, ``deep`` by hashing all.

    ``hashed`` names files whose bytes were hashed in this run as they were written. Emits
    EntryVerified for each proved file. Cost: see ``prove_files``.
    """
    run.emit(PhaseChanged, phase="verify", total_files=len(manifest.entries))
    return verify_entries(run, folder, manifest.entries, deep=deep, hashed=hashed)


def verify_entries(
    run: Run,
    folder: Path,
    entries: Sequence[Entry],
    *,
    deep: bool = False,
    hashed: Sequence[str] = (),
) -> Verdict:
    """Prove some entries of a folder; see ``verify_folder``."""
    proofs = prove_entries(run, folder, entries, deep=deep)
    written = set(hashed)
    damaged, by_hash = [], 0
    for entry, proof in zip(entries, proofs, strict=True):
        if not is_proved(proof, entry.sha256, entry.size):
            damaged.append(entry)
            continue
        counted = proof.by_hash or entry.path in written
        by_hash += counted
        run.emit(EntryVerified, path=entry.path, by_hash=counted)
    return Verdict(len(entries) - len(damaged), by_hash, tuple(damaged))


def require_whole(verdict: Verdict, manifest: Manifest) -> None:
    """Refuse to go on with a staging area that is not the release. Raises IntegrityError."""
    if verdict.damaged:
        raise IntegrityError(
            what=f"{len(verdict.damaged)} files of {manifest.tool_id} {manifest.tool_version}",
            expected="the content that the manifest lists",
            actual="other content in " + ", ".join(entry.path for entry in verdict.damaged[:5]),
        )


def lost_executable_bits(folder: Path, entries: Sequence[Entry]) -> list[Entry]:
    """Entries that should be executable and are not (never on Windows)."""
    return [
        entry
        for entry in entries
        if entry.executable and not host.stat_facts(folder / entry.path).is_executable
    ]
