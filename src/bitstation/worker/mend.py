"""Make an installed release whole again, file by file.

Each file is complete under its name or not replaced at all. Used by repair, and when an update
meets a release that is already here.
"""

from __future__ import annotations

from pathlib import Path

from bitstation import host
from bitstation.core.events import PhaseChanged, PlanReady
from bitstation.core.manifest import Entry, Manifest
from bitstation.core.plan import Plan
from bitstation.core.planning import Ground, Knowledge, blocks_to_find, plan_update
from bitstation.storage.reuse import LINK_FROM_BYTES, Reuse, move_file
from bitstation.storage.tree import CONTROL_NAME, files_below
from bitstation.transport.source import Source
from bitstation.worker.aside import set_aside
from bitstation.worker.assemble import Assembly, Kept
from bitstation.worker.discard import discard_tree
from bitstation.worker.fit import can_share, check_paths, check_space
from bitstation.worker.inventory import names_of, survey, survey_blocks
from bitstation.worker.lending import Lending
from bitstation.worker.papers import atlas_of, local_atlases
from bitstation.worker.run import Run
from bitstation.worker.salvage import salvage


def mend(run: Run, folder: Path, manifest: Manifest, damaged: list[Entry], source: Source) -> Plan:
    """Put the right bytes under the names of damaged entries; the plan says what it took.

    Good bytes come from this machine where it holds them, else from the source. A damaged file is
    never written in place: other names may share it. Those are mended too.

    Raises SourceError, DigestMismatch, DiskFull, OSError. Crash: each file is old or new.
    """
    part = Mending(run, folder, manifest, damaged)
    plan = part.plan()
    part.assemble(source, plan)
    part.place()
    return plan


class Mending:
    """The damaged files of one release, assembled beside it and then moved over."""

    def __init__(self, run: Run, folder: Path, manifest: Manifest, damaged: list[Entry]) -> None:
        self._run = run
        self._folder = folder
        self._manifest = manifest
        self._damaged = damaged
        self._staging = run.tree.staging_area / "mend"

    def plan(self) -> Plan:
        """What the damaged entries need."""
        run = self._run
        check_paths(self._staging, [entry.path for entry in self._damaged])
        self._held = survey(run, self._damaged)
        partial = Manifest(
            self._manifest.tool_id,
            self._manifest.tool_version,
            self._manifest.manifest_hash,
            tuple(self._damaged),
            self._manifest.delete_policy,
            self._manifest.ignore_globs,
            {},
        )
        atlas = atlas_of(run.tree, self._manifest.manifest_hash)
        places, names = salvage(run, self._folder, self._damaged, atlas)
        wanted = blocks_to_find(partial, self._held, atlas) - places.keys()
        if wanted:
            elsewhere, holders = survey_blocks(run, wanted, local_atlases(run))
            places, names = elsewhere | places, holders | names
        self._held = self._held | names
        ground = Ground(
            frozenset(self._held),
            places,
            LINK_FROM_BYTES if can_share(run) else None,
            copied=Lending(run).copied(self._held),
        )
        plan = plan_update(None, partial, ground, Knowledge(atlas))
        whole = len(self._manifest.entries) - len(self._damaged)
        run.emit(
            PlanReady,
            download_files=plan.download_files,
            unchanged_files=plan.unchanged_files + whole,
            delete_files=0,
            download_bytes=plan.download_bytes,
            reuse_bytes=self._manifest.total_bytes - plan.download_bytes,
            total_bytes=self._manifest.total_bytes,
            write_bytes=plan.write_bytes,
        )
        check_space(run, plan.write_bytes)
        return plan

    def assemble(self, source: Source, plan: Plan) -> None:
        """Fill the staging folder with good copies, durable."""
        discard_tree(self._run, self._staging)
        self._run.disk.make_dir(self._staging)
        assembly = Assembly(self._run, plan, self._staging, self._held, journaled=False)
        assembly.fill(source, Kept())
        assembly.settle()

    def place(self) -> None:
        """Move the good copies over the damaged files, and mend every name that shared those.

        Crash: the name in this release goes last, so that a later repair still meets the damage
        and finds what shares it.
        """
        run = self._run
        run.emit(PhaseChanged, phase="mend", total_files=len(self._damaged))
        names = names_of(run, {entry.sha256 for entry in self._damaged})
        parents = set()
        for entry in self._damaged:
            target = self._folder / entry.path
            sharing = _sharing(target, names.get(entry.sha256, []))
            self._clear_way(entry.path)
            run.disk.make_dir(target.parent)
            parents.add(target.parent)
            for other in sharing:
                self._mend_shared(entry, other)
            source, below = self._staging / entry.path, run.tree.releases
            move_file(source, target, run.disk, run.ledger, below=below)
        run.disk.sync_dirs(parents, self._folder)
        discard_tree(run, self._staging)

    def _clear_way(self, path: str) -> None:
        """Take away what stands where a file and its folders must be; users' files are kept."""
        run, folder = self._run, self._folder
        names = path.split("/")
        for count in range(1, len(names)):
            parent = folder / "/".join(names[:count])
            if host.is_link(parent):
                # The link goes, what it points to stays.
                run.disk.remove(parent)
            elif parent.exists() and not parent.is_dir():
                self._set_aside(["/".join(names[:count])])
        target = folder / path
        if target.is_dir() and not host.is_link(target):
            self._set_aside([f"{path}/{below}" for below in files_below(target)])
            run.disk.remove_tree(target)

    def _set_aside(self, paths: list[str]) -> None:
        set_aside(self._run, self._manifest.tool_version, self._folder, paths)

    def _mend_shared(self, entry: Entry, other: Path) -> None:
        # A name that no path of a release can have.
        run, temporary = self._run, self._staging / CONTROL_NAME
        good = self._staging / entry.path
        reuse = Reuse(run.disk, run.ledger, run.stop, below=run.tree.releases)
        how = reuse.place(good, temporary, entry.sha256, executable=entry.executable)
        if how != "linked":
            run.disk.sync_path(temporary)
        move_file(temporary, other, run.disk, run.ledger)
        run.disk.sync_dir(other.parent)


def _sharing(path: Path, names: list[Path]) -> list[Path]:
    """Other names of the very file at ``path``."""
    try:
        identity = host.stat_facts(path).identity
    except OSError:
        return []
    same = []
    for name in names:
        try:
            if name != path and host.stat_facts(name).identity == identity:
                same.append(name)
        except OSError:
            continue
    return same
