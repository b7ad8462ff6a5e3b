"""The commit: move proved staging into releases, then the pointer. Nothing is undone from here on.

Crash: before the pointer is replaced the earlier release is current and the journal makes the
next run finish the move; after it the new release is current.
"""

from __future__ import annotations

import errno
from pathlib import Path

from bitstation.core.events import PhaseChanged, ReleaseActivated
from bitstation.core.lifecycle import Step
from bitstation.core.manifest import Manifest
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.storage.durable import make_dirs, sync_tree
from bitstation.storage.journal import StepBegun
from bitstation.storage.reuse import move_file
from bitstation.storage.tree import files_below
from bitstation.worker.run import Run

_MOVE_FILES = (errno.EACCES, errno.EPERM, errno.EXDEV)


def activate(run: Run, manifest: Manifest, deleted_files: int) -> None:
    """Make a staged, proved and durable release the current one.

    Raises FileInUse, PermissionRefused, OSError. Crash: see the module.
    """
    version = manifest.tool_version
    run.emit(PhaseChanged, phase="activate")
    run.journal.append(StepBegun(Step.ACTIVATING), durable=True)
    move_into_place(run, run.tree.staging(version), run.tree.release(version))
    point_to(run, manifest, deleted_files)
    run.journal.append(StepBegun(Step.COLLECTING))


def move_into_place(run: Run, staging: Path, release: Path) -> None:
    """Move a staged folder to its final name, at once or file by file, its manifest last.

    Windows refuses to rename a folder that holds an open file (a scanner's, say), but lets its
    files be moved one by one as they become free; and so do overlays (of containers) with a folder
    of a layer below.
    """
    below = run.tree.releases
    if not release.exists():
        try:
            run.disk.replace(staging, release, below=below)
            run.disk.sync_dirs([release.parent], run.root.path)
            return
        except OSError as error:
            if error.errno not in _MOVE_FILES:
                raise
    paths = [path for path in files_below(staging) if path != MANIFEST_NAME]
    folders = {release, *((release / path).parent for path in paths)}
    make_dirs(run.disk, folders, run.root.path)
    for path in paths:
        move_file(staging / path, release / path, run.disk, run.ledger, below=below)
    sync_names(run, release)
    if (staging / MANIFEST_NAME).exists():
        run.disk.replace(staging / MANIFEST_NAME, release / MANIFEST_NAME, below=below)
        run.disk.sync_dir(release)
    run.disk.remove_tree(staging)


def sync_names(run: Run, release: Path) -> None:
    """Make every name of a release durable: a run that was killed may have moved some of them."""
    sync_tree(run.disk, release, run.root.path)


def point_to(run: Run, manifest: Manifest, deleted_files: int) -> None:
    """Replace the pointer: the one commit point of the whole system."""
    run.disk.write_file(run.tree.pointer, f"v{manifest.tool_version}".encode())
    run.emit(
        ReleaseActivated,
        version=manifest.tool_version,
        manifest_hash=manifest.manifest_hash,
        deleted_files=deleted_files,
    )
