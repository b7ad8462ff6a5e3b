"""Files of users that stand where a release must go: moved to user_data, never destroyed."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

from bitstation import host
from bitstation.storage.durable import make_dirs, sync_tree
from bitstation.worker.run import Run

_BLOCK_BYTES = 1024 * 1024


def set_aside(run: Run, version: str, folder: Path, paths: Iterable[str]) -> Path:
    """Move files of a release folder to user_data/from-v{version}, durably; where they are now.

    Whoever removes the folder next asks this also when no such file is left: an earlier run may
    have been killed over moving them. Raises OSError. Crash: each file is in the one place or the
    other.
    """
    aside = run.tree.user_data / f"from-v{version}"
    moved = list(paths)
    if moved:
        make_dirs(run.disk, {(aside / path).parent for path in moved}, run.tree.path)
    for path in moved:
        _move(run, folder / path, _free_name(aside / path))
    if aside.is_dir():
        sync_tree(run.disk, aside, run.tree.path)
    return aside


def set_folder_aside(run: Run, version: str, folder: Path) -> Path:
    """Move a whole folder of which nobody knows what is whose; where it is now. Raises OSError."""
    aside = _free_name(run.tree.user_data / f"from-v{version}")
    make_dirs(run.disk, {aside.parent}, run.tree.path)
    run.disk.replace(folder, aside)
    run.disk.sync_dirs([aside.parent, folder.parent], run.tree.path)
    return aside


def copy_file(run: Run, source: Path, target: Path, *, below: Path | None = None) -> int:
    """Clone or copy a file with its times and permissions, durably; its size in bytes.

    Raises OSError, UpdateCancelled. Crash: a part of it may stand under ``target``.
    """
    with (
        source.open("rb", buffering=0) as reader,
        run.disk.open_new(target, replace=True, below=below) as writer,
    ):
        if not run.disk.clone(reader, writer):
            block = memoryview(bytearray(_BLOCK_BYTES))
            while count := reader.readinto(block):
                run.disk.write(writer, block[:count])
                run.stop.check()
        run.disk.sync_file(writer)
    run.disk.copy_stamps(source, target)
    return target.stat().st_size


def _move(run: Run, source: Path, target: Path) -> None:
    try:
        run.disk.replace(source, target)
    except OSError as error:
        # user_data may lie on another volume, reached through a link or a mount.
        if error.errno != errno.EXDEV:
            raise
        if host.is_link(source):
            run.disk.symlink(target, str(source.readlink()))
        else:
            copy_file(run, source, target)
        run.disk.remove(source)


def _free_name(path: Path) -> Path:
    """The name itself, or the first numbered one that is free: nothing there is overwritten."""
    candidate, number = path, 1
    while candidate.exists() or host.is_link(candidate):
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate
