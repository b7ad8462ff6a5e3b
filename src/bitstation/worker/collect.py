"""Retire releases that are no longer kept, losing nothing that the user put there.

Crash: a release leaves the set of kept ones by one rename of its folder, then its files go; a
later collection goes on. Every step may be repeated.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from bitstation.core.events import PhaseChanged, ReleaseKept, ReleaseRetired, RetireDeferred
from bitstation.core.manifest import Manifest
from bitstation.core.retention import decide_retired
from bitstation.storage.tree import files_below
from bitstation.worker.aside import set_aside, set_folder_aside
from bitstation.worker.carry import left_behind
from bitstation.worker.discard import discard_tree
from bitstation.worker.papers import forget_atlases
from bitstation.worker.run import Run


def collect(run: Run, previous: str | None, keep: int | None = None) -> list[OSError]:
    """Retire what retention lets go, and clear staging; what could not go, for a later run.

    ``keep`` is how many releases stay beside the active one; None: as the options say.
    """
    tree, faults = run.tree, []
    run.emit(PhaseChanged, phase="collect")
    current, kept = tree.current_version(), tree.kept_versions()
    retired = decide_retired(kept, current, previous, run.options.keep if keep is None else keep)
    for version in kept:
        if version != current and version not in retired:
            run.emit(ReleaseKept, version=version)
    for version in [*retired, *headless(run)]:
        faults += retire(run, version)
    forget_atlases(run)
    return faults + clear_leftovers(run)


def clear_leftovers(run: Run) -> list[OSError]:
    """Remove staging and releases whose removal was begun; what could not go."""
    faults = []
    works = [partial(_discard_retired, run, gone) for gone in run.tree.retired_folders()]
    for work in (*works, partial(discard_tree, run, run.tree.staging_area)):
        try:
            work()
        except OSError as error:
            faults.append(error)
    return faults


def headless(run: Run) -> list[str]:
    """Versions whose folder holds no manifest, but for the one that the pointer names."""
    known = {*run.tree.kept_versions(), run.tree.current_version()}
    return [version for version in run.tree.release_folders() if version not in known]


def retire(run: Run, version: str, *, asks: bool = True) -> list[OSError]:
    """Remove one release; its unlisted files are treated by its delete_policy.

    Under the policy manual it stays until somebody says yes; where nobody is asked (``asks``
    False) they are set aside. What stood in the way is returned: the rest goes another time.
    The active release stays, whatever was read of the pointer before: a bit of that may have been
    another one.
    """
    if version == run.tree.current_version():
        return []
    folder, manifest = run.tree.release(version), run.tree.manifest(version)
    if manifest is None:
        return _put_away(run, version, folder)
    unlisted = left_behind(folder, manifest, *_active(run))
    policy = manifest.delete_policy
    if unlisted and policy == "manual" and not run.options.yes:
        if asks:
            run.emit(RetireDeferred, version=version, why="asked", files=len(unlisted))
            return []
        policy = "safe"
    keeps = policy not in ("aggressive", "manual")
    aside = None
    try:
        if keeps:
            aside = set_aside(run, version, folder, unlisted)
        _remove(run, version)
    except OSError as error:
        # The new release is current: what cannot go now goes at a later collection.
        run.emit(RetireDeferred, version=version, why=error.strerror or "in-use")
        return [error]
    run.emit(
        ReleaseRetired,
        version=version,
        set_aside=len(unlisted) if keeps else 0,
        destroyed=0 if keeps else len(unlisted),
        folder=str(aside) if aside and unlisted else "",
    )
    return []


def _active(run: Run) -> tuple[Path, Manifest | None]:
    version = run.tree.current_version()
    return run.tree.release(version or "0"), run.tree.manifest(version) if version else None


def _put_away(run: Run, version: str, folder: Path) -> list[OSError]:
    """Without a manifest nobody knows what is whose, so all of it is kept for the user."""
    try:
        count = sum(1 for _path in files_below(folder))
        aside = set_folder_aside(run, version, folder) if count else None
        run.disk.remove_tree(folder)
    except OSError as error:
        run.emit(RetireDeferred, version=version, why=error.strerror or "in-use")
        return [error]
    run.emit(ReleaseRetired, version=version, set_aside=count, destroyed=0, folder=str(aside or ""))
    return []


def _remove(run: Run, version: str) -> None:
    gone = run.tree.retired(version)
    _discard_retired(run, gone)
    run.disk.replace(run.tree.release(version), gone)
    _discard_retired(run, gone)


def _discard_retired(run: Run, gone: Path) -> None:
    """Remove a folder once it is for good that it is no release any more.

    An earlier run may have been killed right after the rename: with the power the release would
    come back, and what was removed of it would not.
    """
    if os.path.lexists(gone):
        run.disk.sync_dir(run.tree.releases)
        discard_tree(run, gone)
