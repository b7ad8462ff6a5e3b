"""One update from first to last: trust, diff, plan, fetch, assemble, verify, activate, collect.

Every source and every kind of install comes through here; there is no second path.
"""

from __future__ import annotations

from bitstation.core.diff import deleted_paths
from bitstation.core.events import (
    EntryPlaced,
    GuardLowered,
    PhaseChanged,
    RunFinished,
    RunStarted,
    UnsignedAllowed,
)
from bitstation.core.manifest import Manifest
from bitstation.core.names import is_older
from bitstation.core.stats import UpdateStats
from bitstation.errors import (
    BitStationError,
    DowngradeRefused,
    IntegrityError,
    ReleaseConflict,
    StoreError,
)
from bitstation.storage.faults import disk_errors
from bitstation.storage.journal import read_journal
from bitstation.transport.source import Resolved, Source
from bitstation.trust.authorize import authorize
from bitstation.worker.activate import activate, point_to
from bitstation.worker.carry import carry
from bitstation.worker.collect import collect
from bitstation.worker.history import append_history
from bitstation.worker.mend import mend
from bitstation.worker.recover import recover
from bitstation.worker.run import Run
from bitstation.worker.stage import stage
from bitstation.worker.verify import (
    lost_executable_bits,
    require_whole,
    verify_entries,
    verify_folder,
)


def update(
    run: Run, source: Source, version: str | None = None, *, expected_hash: str | None = None
) -> UpdateStats:
    """Bring the tool to a release of a source; without a version the required, else the latest.

    ``expected_hash`` is the manifest_hash that a caller insists on.

    Raises BitStationError. Crash: the earlier or the new release is current, and the next run
    finishes or goes on (see activate, stage, collect).
    """
    recover(run)
    target = source.resolve(run.tree.tool_id, version, legacy=run.options.legacy)
    found = target.manifest.manifest_hash
    if expected_hash is not None and found != expected_hash:
        raise IntegrityError(
            what=f"manifest_hash of {source.name}", expected=expected_hash, actual=found
        )
    base = current_manifest(run)
    run.emit(
        RunStarted,
        command="update",
        from_version=base.tool_version if base else None,
        to_version=target.manifest.tool_version,
        manifest_hash=found,
        source=source.name,
        resumed=read_journal(run.tree.journal).begin is not None,
    )
    try:
        with disk_errors(run.tree.path):
            _check_allowed(run, base, target)
            run.emit(PhaseChanged, phase="diff")
            _install(run, base, target, source)
    except BitStationError as error:
        end(run, error.code)
        # What can succeed later keeps its staging; anything else leaves nothing half-done.
        if not (error.retryable or isinstance(error, StoreError)):
            _discard(run)
        raise
    return run.stats


def _install(run: Run, base: Manifest | None, target: Resolved, source: Source) -> None:
    manifest, tree = target.manifest, run.tree
    if base is not None and base.manifest_hash == manifest.manifest_hash:
        changed = make_whole(run, manifest, source)
        if changed:
            append_history(run, "repair")
        finish(run, "done" if changed else "nothing-to-do")
        return
    if tree.manifest(manifest.tool_version) is not None:
        make_whole(run, manifest, source)
        carry(run, base, tree.release(manifest.tool_version), manifest)
        point_to(run, manifest, len(deleted_paths(base, manifest)))
    else:
        stage(run, base, target, source)
        activate(run, manifest, len(deleted_paths(base, manifest)))
    append_history(run, "update")
    collect(run, previous=base.tool_version if base else None)
    finish(run, "done")


def make_whole(run: Run, manifest: Manifest, source: Source, *, deep: bool = False) -> bool:
    """Prove a release that is already in place, mending what is damaged; says if anything was."""
    folder = run.tree.release(manifest.tool_version)
    verdict = verify_folder(run, folder, manifest, deep=deep)
    wrong = {entry.path for entry in verdict.damaged}
    whole = [entry for entry in manifest.entries if entry.path not in wrong]
    damaged = [*verdict.damaged, *lost_executable_bits(folder, whole)]
    mended = {entry.path for entry in damaged}
    for entry in manifest.entries:
        if entry.path not in mended:
            run.emit(EntryPlaced, path=entry.path, size_bytes=entry.size, how="kept")
    if damaged:
        mend(run, folder, manifest, damaged, source)
        require_whole(verify_entries(run, folder, verdict.damaged), manifest)
    return bool(damaged)


def _check_allowed(run: Run, base: Manifest | None, target: Resolved) -> None:
    """Raises DowngradeRefused, ReleaseConflict."""
    manifest = target.manifest
    authorize(manifest, target.manifest_bytes)
    run.emit(UnsignedAllowed, version=manifest.tool_version)
    if target.legacy:
        run.emit(GuardLowered, switch="--legacy", detail=manifest.manifest_hash)
    known = run.tree.manifest(manifest.tool_version)
    if known is not None and known.manifest_hash != manifest.manifest_hash:
        raise ReleaseConflict(
            tool_id=manifest.tool_id,
            version=manifest.tool_version,
            known=known.manifest_hash,
            offered=manifest.manifest_hash,
        )
    if base is None or not is_older(manifest.tool_version, base.tool_version) or target.required:
        return
    if not run.options.allow_downgrade:
        raise DowngradeRefused(
            tool_id=manifest.tool_id,
            version=manifest.tool_version,
            installed=base.tool_version,
        )
    run.emit(GuardLowered, switch="--allow-downgrade", detail=base.tool_version)


def current_manifest(run: Run) -> Manifest | None:
    """Manifest of the active release; None when there is none or it is damaged."""
    version = run.tree.current_version()
    return run.tree.manifest(version) if version else None


def finish(run: Run, outcome: str) -> None:
    """End a run that succeeded: nothing is in progress any more."""
    run.journal.drop()
    run.disk.remove(run.tree.plan)
    end(run, outcome)


def end(run: Run, outcome: str) -> None:
    """Say that a run is over; ``outcome`` is done, nothing-to-do or an error code."""
    run.emit(
        RunFinished,
        outcome=outcome,
        activated=run.stats.activated,
        seconds=run.seconds,
    )


def _discard(run: Run) -> None:
    run.journal.drop()
    run.disk.remove(run.tree.plan)
    run.disk.remove_tree(run.tree.staging_area)
    if run.tree.releases.is_dir() and not any(run.tree.releases.iterdir()):
        run.disk.remove_dir(run.tree.releases)
