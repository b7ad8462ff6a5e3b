"""Fill staging: fetch what is lacking, build and reuse what is here, make it durable at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from threading import Event

import msgspec

from bitstation import host
from bitstation.core.digest import EMPTY, Digest
from bitstation.core.events import (
    EntryPlaced,
    IntegrityFailed,
    PhaseChanged,
    TransferProgress,
)
from bitstation.core.plan import How, Plan, PlanEntry
from bitstation.storage.durable import sync_tree
from bitstation.storage.reuse import LINK_FROM_BYTES, Reuse, SourceVanished
from bitstation.transport.source import Source
from bitstation.worker.building import Building
from bitstation.worker.crew import Crew, Task
from bitstation.worker.fetch import BlockFetcher
from bitstation.worker.fetch_whole import FileFetcher
from bitstation.worker.finishing import Finisher
from bitstation.worker.intake import Intake
from bitstation.worker.inventory import Names
from bitstation.worker.lending import Lending
from bitstation.worker.rework import lacking_after
from bitstation.worker.run import Run
from bitstation.worker.wants import Want, wants_of


class Kept(msgspec.Struct, frozen=True):
    """What an interrupted run left in staging, as proved now, by number of the plan's entry."""

    whole: dict[int, host.StatFacts] = {}
    blocks: dict[int, set[int]] = {}
    parts: dict[int, dict[int, int]] = {}


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
        self._reuse = Reuse(run.disk, run.ledger, run.stop, below=run.tree.releases)
        self._lending = Lending(run)
        self._done_bytes = 0
        self._written: dict[str, host.StatFacts] = {}
        self._durable: set[str] = set()
        self._twins: Names = {}
        self._built: dict[Digest, Event] = {}
        for entry in plan.entries:
            if entry.how is not How.COPY:
                self._twins.setdefault(entry.sha256, []).append(staging / entry.path)
                self._built[entry.sha256] = Event()

    def fill(self, source: Source, kept: Kept) -> None:
        """Place every entry, going on from what is ``kept``.

        Raises SourceError, DigestMismatch, OSError, UpdateCancelled. Crash: only staging changed.
        """
        host.tune_memory()
        self._make_folders()
        for index in sorted(kept.whole):
            self._keep(self._plan.entries[index], kept.whole[index], source)
        todo = [
            (index, entry)
            for index, entry in enumerate(self._plan.entries)
            if index not in kept.whole
        ]
        made = [(index, entry) for index, entry in todo if entry.how in (How.FETCH, How.BUILD)]
        total = sum(entry.fetch_bytes for _index, entry in made)
        self._begin("fetch", total, len(made))
        self._make(source, made, kept)
        copies = [(index, entry) for index, entry in todo if entry.how is How.COPY]
        self._begin("reuse", sum(entry.size_bytes for _index, entry in copies), len(copies))
        lost = [(index, entry) for index, entry in copies if not self._copy(entry)]
        for _index, entry in lost:
            self._run.emit(IntegrityFailed, path=entry.path, source="local", healed=True)
            self._built.setdefault(entry.sha256, Event())
        self._make(source, [(index, _fetched_whole(entry)) for index, entry in lost], kept)

    def rework(self, source: Source, kept: Kept) -> None:
        """Remake files of the release that was given up, once they lie in staging.

        Raises SourceError, DigestMismatch, OSError, UpdateCancelled. Crash: see ``worker.rework``.
        """
        todo = [
            (index, entry)
            for index, entry in enumerate(self._plan.entries)
            if entry.how is How.REWORK and index not in kept.whole
        ]
        self._begin("fetch", sum(entry.fetch_bytes for _index, entry in todo), len(todo))
        self._make(source, todo, kept)

    def settle(self) -> list[str]:
        """Make staging durable, then record the proofs of what was written; its paths.

        Files that later releases may share by hard links become read-only here. A file that was
        touched since its bytes were hashed is left unproved, and verification reads it again.
        """
        run, digests = self._run, {entry.path: entry.sha256 for entry in self._plan.entries}
        self._sync()
        for folder in {(self._staging / path).parent for path in self._written}:
            run.tree.check_staged(folder)
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
        """All new files, several at once, then all folders up to the root.

        Linked files are durable already.
        """
        run, pool = self._run, host.shared_pool()
        paths = [path for path in self._written if path not in self._durable]
        futures = [pool.submit(run.disk.settle_path, self._staging / path) for path in paths]
        # All of them before the first failure is told: none may work on when the lock is given up.
        wait(futures)
        for future in futures:
            future.result()
        self._durable.update(paths)
        sync_tree(run.disk, self._staging, run.root.path)

    def _make_folders(self) -> None:
        folders = {self._staging / entry.path for entry in self._plan.entries}
        for folder in sorted({path.parent for path in folders}):
            self._run.disk.make_dir(folder)

    def _begin(self, phase: str, total_bytes: int, total_files: int) -> None:
        self._run.emit(PhaseChanged, phase=phase, total_bytes=total_bytes, total_files=total_files)
        self._done_bytes = 0

    def _keep(self, entry: PlanEntry, facts: host.StatFacts, source: Source) -> None:
        self._written[entry.path] = facts
        if not facts.is_writable:
            # An earlier run made it so once it was durable.
            self._durable.add(entry.path)
        if entry.how is not How.COPY:
            self._built[entry.sha256].set()
        name = source.name if entry.is_download else ""
        self._run.emit(
            EntryPlaced, path=entry.path, size_bytes=entry.size_bytes, how="kept", source=name
        )

    # --- what is not here whole -----------------------------------------------------------------

    def _make(self, source: Source, entries: list[tuple[int, PlanEntry]], kept: Kept) -> None:
        """Fetch and build entries (with their numbers in the plan)."""
        run = self._run
        crew = Crew(run.stop, 1 if self._is_sequential() else source.concurrency)
        intake = Intake(run, source, crew)
        files = FileFetcher(run, intake, self._written)
        blocks = BlockFetcher(run, intake, crew, self._names_of, self._plan.inline)
        finisher = Finisher(run, self._names_for(crew), blocks.refetch, crew.check)
        buildings: list[Building] = []
        works: list[Task] = []
        wants: list[Want] = []
        try:
            for index, entry in entries:
                number = index if self._journaled else None
                target = self._staging / entry.path
                if entry.how is How.FETCH:
                    # In the plan's order: what lies before it is asked for before it.
                    blocks.request(wants)
                    wants = []
                    crew.add(partial(self._fetch_whole, files, number, entry, target))
                    continue
                done, parts = kept.blocks.get(index, set()), kept.parts.get(index, {})
                building = Building(run, number, entry, target, done, parts)
                buildings.append(building)
                is_rework = entry.how is How.REWORK
                wants += lacking_after(run, building) if is_rework else wants_of(building)
                works.append(partial(self._build, files, finisher, number, building))
            blocks.request(wants)
            crew.run(works)
        finally:
            for building in buildings:
                building.drop()

    def _is_sequential(self) -> bool:
        wish = self._run.options.sequential
        return host.is_rotating(self._run.root.path) if wish is None else wish

    def _fetch_whole(
        self, files: FileFetcher, number: int | None, entry: PlanEntry, target: Path
    ) -> None:
        files.fetch(number, entry, target)
        self._built[entry.sha256].set()

    def _build(
        self, files: FileFetcher, finisher: Finisher, number: int | None, building: Building
    ) -> None:
        entry, target = building.entry, building.path
        if finisher.finishes(building):
            building.close()
            files.place(number, entry, target, building.received_bytes)
        else:
            building.leave(finisher.check)
            if building.is_damaged:
                self._run.emit(IntegrityFailed, path=entry.path, source="", healed=True)
            files.fetch(number, entry, target)
        self._built[entry.sha256].set()

    def _names_of(self, digest: Digest) -> list[Path]:
        return self._held.get(digest, [])

    def _names_for(self, crew: Crew) -> Callable[[Digest], list[Path]]:
        """Where a blob lies, once it does: another file of the plan may still be in the making.

        Files wait for earlier ones only, so that none waits for ever.
        """

        def names_of(digest: Digest) -> list[Path]:
            built = self._built.get(digest)
            while built is not None and not built.wait(0.1):
                crew.check()
            return [*self._held.get(digest, []), *self._twins.get(digest, [])]

        return names_of

    # --- what is here whole ---------------------------------------------------------------------

    def _copy(self, entry: PlanEntry) -> bool:
        """Place an entry from local bytes; False when no local file holds them after all."""
        run, target = self._run, self._staging / entry.path
        run.clear_staged(target)
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
        with self._run.open_staged(target) as file:
            if entry.executable:
                self._run.disk.set_executable(file)
        self._written[entry.path] = host.stat_facts(target)
        self._run.emit(EntryPlaced, path=entry.path, size_bytes=0, how="copied")

    def _local_sources(self, entry: PlanEntry) -> list[Path]:
        # A content that this plan fetches for one path is copied from there to the others.
        return [*self._held.get(entry.sha256, []), *self._twins.get(entry.sha256, [])]


def _fetched_whole(entry: PlanEntry) -> PlanEntry:
    return msgspec.structs.replace(entry, how=How.FETCH, fetch_bytes=entry.size_bytes)
