"""Mend the active release, also when the pointer or its manifest was lost."""

from __future__ import annotations

from bitstation.core.events import PhaseChanged, RunStarted
from bitstation.core.stats import UpdateStats
from bitstation.errors import BitStationError, NoInstallation
from bitstation.storage.faults import disk_errors
from bitstation.transport.source import Source
from bitstation.worker.activate import point_to
from bitstation.worker.history import append_history, read_history
from bitstation.worker.recover import recover
from bitstation.worker.run import Run
from bitstation.worker.update import end, make_whole, update


def repair(run: Run, source: Source, *, deep: bool = False) -> UpdateStats:
    """Prove the active release and fetch what is damaged; ``deep`` reads every byte.

    A lost pointer is set again to what the history says was active; a lost manifest is fetched.
    Raises NoInstallation, SourceError, DigestMismatch. Crash: each file is old or new.
    """
    recover(run)
    tree = run.tree
    version = tree.current_version() or _lost_version(run)
    if version is None:
        raise NoInstallation(tool_id=tree.tool_id, root=str(run.root.path))
    manifest = tree.manifest(version)
    if manifest is None:
        return update(run, source, version)
    run.emit(
        RunStarted,
        command="repair",
        from_version=version,
        to_version=version,
        manifest_hash=manifest.manifest_hash,
        source=source.name,
    )
    run.emit(PhaseChanged, phase="diff")
    try:
        with disk_errors(tree.path):
            changed = make_whole(run, manifest, source, deep=deep)
            if tree.current_version() is None:
                point_to(run, manifest, deleted_files=0)
                changed = True
            if changed:
                append_history(run, "repair")
    except BitStationError as error:
        end(run, error.code)
        raise
    end(run, "done" if changed else "nothing-to-do")
    return run.stats


def _lost_version(run: Run) -> str | None:
    """Version that was active when the pointer was lost, complete or not."""
    folders = run.tree.release_folders()
    for record in reversed(read_history(run.tree)):
        if record.to_version in folders:
            return record.to_version
    kept = run.tree.kept_versions()
    return next(iter((*kept, *folders)), None)
