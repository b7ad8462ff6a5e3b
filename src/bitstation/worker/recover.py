"""Finish or forget what an earlier run left, before anything else is done.

Crash: recovery may be killed like anything else; the next run recovers again.
"""

from __future__ import annotations

from bitstation.core.lifecycle import LeftoverFacts, Recovery, decide_recovery
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.storage.journal import read_journal
from bitstation.storage.tree import ToolTree
from bitstation.worker.activate import move_into_place, point_to
from bitstation.worker.collect import collect
from bitstation.worker.inventory import prove
from bitstation.worker.run import Run


def recover(run: Run) -> Recovery:
    """Bring the tool into its earlier or its new release; says what was done."""
    tree = run.tree
    journal = read_journal(tree.journal)
    decision = decide_recovery(leftovers(tree))
    if journal.begin is None or decision is Recovery.NOTHING:
        return Recovery.NOTHING
    if decision is Recovery.FINISH_ACTIVATION:
        _finish_activation(run, journal.begin.version)
    if decision in (Recovery.FINISH_ACTIVATION, Recovery.FINISH_COLLECTION):
        collect(run, previous=journal.begin.from_version)
    if decision is not Recovery.KEEP_STAGING:
        run.journal.drop()
        run.disk.remove(tree.plan)
    # A kill between a link or unlink of ours and its record leaves a file unproved.
    _prove_current(run)
    return decision


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
        staged=tree.staging(version).is_dir(),
        released=(tree.release(version) / MANIFEST_NAME).is_file(),
    )


def _finish_activation(run: Run, version: str) -> None:
    tree = run.tree
    if tree.staging(version).is_dir():
        move_into_place(run, tree.staging(version), tree.release(version))
    manifest = tree.manifest(version)
    if manifest is not None:
        point_to(run, manifest, deleted_files=0)


def _prove_current(run: Run) -> None:
    version = run.tree.current_version()
    manifest = run.tree.manifest(version) if version else None
    if version and manifest:
        folder = run.tree.release(version)
        prove(run, [folder / entry.path for entry in manifest.entries])
