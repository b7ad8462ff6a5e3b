"""Files that users or tools left in a release folder and that move along with what is active."""

from __future__ import annotations

import os
from pathlib import Path

from bitstation import host
from bitstation.core.events import FilesCarried
from bitstation.core.globs import matches_any
from bitstation.core.manifest import Manifest
from bitstation.core.scopes import MANIFEST_NAME, TEMPORARY_SUFFIX
from bitstation.storage.tree import files_below
from bitstation.worker.run import Run

_BLOCK_BYTES = 1024 * 1024


def carry(run: Run, base: Manifest | None, folder: Path, target: Manifest) -> list[str]:
    """Copy unlisted files of the base that match its ignore_globs into the target's folder.

    What the target itself lists under a name wins, and so does a copy that is as new. The paths
    copied. Crash: each file is there whole or not at all; the base keeps its own.
    """
    if base is None or base.tool_version == target.tool_version:
        return []
    source = run.tree.release(base.tool_version)
    listed = {entry.path for entry in target.entries}
    paths = [
        path
        for path in carried_paths(source, base)
        if path not in listed and _is_newer(source / path, folder / path)
    ]
    size_bytes = sum(_copy(run, source / path, folder / path) for path in paths)
    if paths:
        run.emit(FilesCarried, files=len(paths), size_bytes=size_bytes)
    return paths


def carried_paths(folder: Path, manifest: Manifest) -> list[str]:
    """Unlisted plain files of a release folder that match its ignore_globs."""
    listed = {entry.path for entry in manifest.entries} | {MANIFEST_NAME}
    return [
        path
        for path in files_below(folder)
        if path not in listed
        and matches_any(path, manifest.ignore_globs)
        and (folder / path).is_file()
        and not host.is_link(folder / path)
    ]


def _is_newer(source: Path, target: Path) -> bool:
    try:
        return source.stat().st_mtime_ns > target.stat().st_mtime_ns
    except FileNotFoundError:
        return True


def _copy(run: Run, source: Path, target: Path) -> int:
    """Clone or copy a file with its time, so that the newer of two is known later."""
    run.disk.make_dir(target.parent)
    temporary = target.with_name(target.name + TEMPORARY_SUFFIX)
    with (
        source.open("rb", buffering=0) as reader,
        run.disk.open_new(temporary, truncate=True) as writer,
    ):
        if not host.clone_file(reader.fileno(), writer.fileno()):
            block = memoryview(bytearray(_BLOCK_BYTES))
            while count := reader.readinto(block):
                run.disk.write(writer, block[:count])
                run.stop.check()
        run.disk.sync_file(writer)
    facts = source.stat()
    os.utime(temporary, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    run.disk.replace(temporary, target)
    return facts.st_size
