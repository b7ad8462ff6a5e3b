"""Finish or forget what an earlier run left, before anything else is done.

Crash: recovery may be killed like anything else; the next run recovers again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bitstation.core.lifecycle import LeftoverFacts, Recovery, Step, decide_recovery
from bitstation.core.manifest import Manifest
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.storage.journal import Begin, read_journal
from bitstation.storage.tree import ToolTree
from bitstation.worker.activate import move_into_place, point_to, sync_names
from bitstation.worker.collect import clear_leftovers, collect
from bitstation.worker.history import append_recovered
from bitstation.worker.inventory import is_proved, prove_entries
from bitstation.worker.run import Run


def recover(run: Run) -> Recovery:
    """Bring the tool into its earlier or its new release; says what was done."""
    tree = run.tree
    journal = read_journal(tree.journal)
    decision = decide_recovery(leftovers(tree))
    if journal.begin is None or decision is Recovery.NOTHING:
        return Recovery.NOTHING
    # A kill between a link or unlink of ours and its record leaves a file unproved.
    _prove_active(run)
    if decision is Recovery.FINISH_ACTIVATION:
        _finish_activation(run, journal.begin.version)
    if tree.current_version() == journal.begin.version and journal.begin.command == "update":
        append_recovered(run, journal.begin)
    if decision in (Recovery.FINISH_ACTIVATION, Recovery.FINISH_COLLECTION):
        collect(run, previous=journal.begin.from_version, keep=journal.begin.keep)
    if decision is Recovery.DROP_JOURNAL:
        clear_leftovers(run)
    if decision is not Recovery.KEEP_STAGING:
        run.disk.remove(tree.plan)
        run.journal.drop()
    return decision


@contextlib.contextmanager
def in_place(run: Run, command: str) -> Iterator[None]:
    """Journal work on releases in place, so that a kill in the midst of it is recovered from.

    An interrupted update keeps its own journal, which does as well.
    """
    version = run.tree.current_version() or ""
    is_begun = read_journal(run.tree.journal).begin is not None
    if not is_begun:
        manifest = run.tree.manifest(version) if version else None
        digest = manifest.manifest_hash if manifest else ""
        begin = Begin(run.emitter.run_id, version, digest, None, command=command)
        run.journal.begin(begin, step=Step.IN_PLACE)
    yield
    if not is_begun:
        run.journal.drop()


def leftovers(tree: ToolTree) -> LeftoverFacts:
    """What lies on disk of an interrupted run."""
    journal = read_journal(tree.journal)
    if journal.begin is None:
        return LeftoverFacts(step=None)
    version = journal.begin.version
    return LeftoverFacts(
        step=journal.step,
        journal_version=version,
        pointer_version=tree.current_version() or "",
        staged=tree.is_staged(version),
        released=(tree.release(version) / MANIFEST_NAME).is_file(),
    )


def _finish_activation(run: Run, version: str) -> None:
    """Go on to the commit, if what was proved before the kill still is what it was."""
    tree = run.tree
    if tree.is_staged(version):
        move_into_place(run, tree.staging(version), tree.release(version))
    manifest = tree.manifest(version)
    if manifest is not None and _is_whole(run, manifest):
        sync_names(run, tree.release(version))
        point_to(run, manifest, deleted_files=0)


def _is_whole(run: Run, manifest: Manifest) -> bool:
    folder = run.tree.release(manifest.tool_version)
    proofs = prove_entries(run, folder, manifest.entries)
    pairs = zip(manifest.entries, proofs, strict=True)
    return all(is_proved(proof, entry.sha256, entry.size) for entry, proof in pairs)


def _prove_active(run: Run) -> None:
    """Prove the active release of every tool: the file may belong to another one."""
    for tree in run.root.tools():
        version = tree.current_version()
        manifest = tree.manifest(version) if version else None
        if manifest is not None:
            prove_entries(run, tree.release(manifest.tool_version), manifest.entries)
