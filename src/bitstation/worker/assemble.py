"""Fill staging: fetch what is lacking, reuse what is here, make all of it durable at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bitstation import host
from bitstation.core.digest import EMPTY
from bitstation.core.events import (
    EntryPlaced,
    IntegrityFailed,
    PhaseChanged,
    TransferProgress,
)
from bitstation.core.plan import Plan, PlanEntry
from bitstation.storage.reuse import LINK_FROM_BYTES, Reuse, SourceVanished
from bitstation.transport.source import Source
from bitstation.worker.fetch import Transfer
from bitstation.worker.inventory import Names
from bitstation.worker.lending import Lending
from bitstation.worker.run import Run


class Assembly:
    """One plan being turned into files below one staging folder.

    ``journaled`` when the run's journal is of this plan, so that it can be resumed.
    """

    def __init__(
        self, run: Run, plan: Plan, staging: Path, held: Names, *, journaled: bool = True
    ) -> None:
        self._run = run
        self._journaled = journaled
        self._plan = plan
        self._staging = staging
        self._held = held
        self._reuse = Reuse(run.disk, run.ledger, run.stop)
        self._lending = Lending(run)
        self._done_bytes = 0
        self._written: dict[str, host.StatFacts] = {}
        self._twins: Names = {}
        for entry in plan.entries:
            if entry.is_download:
                self._twins.setdefault(entry.sha256, []).append(staging / entry.path)

    def fill(self, source: Source, kept: Mapping[int, host.StatFacts]) -> None:
        """Place every entry; ``kept`` are those that an interrupted run left whole, as proved.

        Raises SourceError, DigestMismatch, OSError, UpdateCancelled. Crash: only staging changed.
        """
        run, entries = self._run, list(enumerate(self._plan.entries))
        self._make_folders()
        transfer = Transfer(run, source, self._staging, self._written, journaled=self._journaled)
        for index in sorted(kept):
            self._keep(self._plan.entries[index], kept[index], source)
        todo = [(index, entry) for index, entry in entries if index not in kept]
        downloads = [(index, entry) for index, entry in todo if entry.is_download]
        self._begin("fetch", [entry for _index, entry in downloads])
        transfer.fetch(downloads)
        copies = [(index, entry) for index, entry in todo if not entry.is_download]
        self._begin("reuse", [entry for _index, entry in copies])
        lost = [(index, entry) for index, entry in copies if not self._copy(entry)]
        for _index, entry in lost:
            run.emit(IntegrityFailed, path=entry.path, source="local", healed=True)
        transfer.fetch(lost)

    def settle(self) -> list[str]:
        """Make staging durable, then record the proofs of what was written; its paths.

        Files that later releases may share by hard links become read-only here. A file that was
        touched since its bytes were hashed is left unproved, and verification reads it again.
        """
        run, digests = self._run, {entry.path: entry.sha256 for entry in self._plan.entries}
        self._sync()
        proofs = []
        for path, before in self._written.items():
            full = self._staging / path
            if before.size >= LINK_FROM_BYTES and before.is_writable:
                run.disk.set_writable(full, False)
            after = host.stat_facts(full)
            if after[:4] == before[:4]:
                proofs.append((after, digests[path]))
        run.ledger.record(proofs)
        return list(self._written)

    def _sync(self) -> None:
        """All new files, several at once, then all folders.

        Linked files are durable already, and so are those that an earlier call made read-only.
        """
        run, pool = self._run, host.shared_pool()
        paths = [self._staging / path for path, facts in self._written.items() if facts.is_writable]
        for future in [pool.submit(run.disk.sync_path, path) for path in paths]:
            future.result()
        below = [Path(folder) for folder, _folders, _files in os.walk(self._staging)]
        for folder in (*reversed(below), self._staging.parent):
            run.disk.sync_dir(folder)

    def _make_folders(self) -> None:
        folders = {self._staging / entry.path for entry in self._plan.entries}
        for folder in sorted({path.parent for path in folders}):
            self._run.disk.make_dir(folder)

    def _begin(self, phase: str, entries: list[PlanEntry]) -> None:
        total = sum(entry.size_bytes for entry in entries)
        self._run.emit(PhaseChanged, phase=phase, total_bytes=total, total_files=len(entries))
        self._done_bytes = 0

    def _keep(self, entry: PlanEntry, facts: host.StatFacts, source: Source) -> None:
        self._written[entry.path] = facts
        name = source.name if entry.is_download else ""
        self._run.emit(
            EntryPlaced, path=entry.path, size_bytes=entry.size_bytes, how="kept", source=name
        )

    def _copy(self, entry: PlanEntry) -> bool:
        """Place an entry from local bytes; False when no local file holds them after all."""
        run, target = self._run, self._staging / entry.path
        run.disk.remove(target)
        for source in self._local_sources(entry):
            run.stop.check()
            try:
                how = self._reuse.place(
                    source,
                    target,
                    entry.sha256,
                    executable=entry.executable,
                    may_link=self._lending.may_link(source),
                )
            except SourceVanished:
                continue
            if how != "linked":
                self._written[entry.path] = host.stat_facts(target)
            self._done_bytes += entry.size_bytes
            run.emit(EntryPlaced, path=entry.path, size_bytes=entry.size_bytes, how=how)
            run.emit(TransferProgress, phase="reuse", done_bytes=self._done_bytes)
            return True
        if entry.sha256 == EMPTY:
            self._create_empty(entry, target)
            return True
        return False

    def _create_empty(self, entry: PlanEntry, target: Path) -> None:
        with self._run.disk.open_new(target) as file:
            if entry.executable:
                self._run.disk.set_executable(file)
        self._written[entry.path] = host.stat_facts(target)
        self._run.emit(EntryPlaced, path=entry.path, size_bytes=0, how="copied")

    def _local_sources(self, entry: PlanEntry) -> list[Path]:
        # A content that this plan fetches for one path is copied from there to the others.
        return [*self._held.get(entry.sha256, []), *self._twins.get(entry.sha256, [])]
