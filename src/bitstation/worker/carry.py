"""Files that users or tools left in a release folder and that move along with what is active."""

from __future__ import annotations

import os
from pathlib import Path

from bitstation import host
from bitstation.core.events import FilesCarried
from bitstation.core.globs import matches_any
from bitstation.core.manifest import Manifest
from bitstation.core.relpath import fold_key
from bitstation.core.scopes import MANIFEST_NAME, TEMPORARY_SUFFIX, Scope, scope_of
from bitstation.storage.tree import PlainPaths, files_below
from bitstation.worker.aside import copy_file
from bitstation.worker.run import Run


def carry(run: Run, base: Manifest | None, folder: Path, target: Manifest) -> list[str]:
    """Copy unlisted files of the base that match its ignore_globs into the target's folder.

    What the target itself lists under a name wins, and so does a copy that is as new. The paths
    copied. Crash: each file is there whole or not at all; the base keeps its own.
    """
    if base is None or base.tool_version == target.tool_version:
        return []
    source = run.tree.release(base.tool_version)
    # Where a file of the target stands in the way of a folder, what is left behind is set aside.
    listed, plain = folded_paths(target), PlainPaths(folder)
    paths = [
        path
        for path in carried_paths(source, base)
        if fold_key(path) not in listed
        and path in plain
        and _is_newer(source / path, folder / path)
    ]
    size_bytes, parents = 0, set()
    for path in paths:
        size_bytes += _carry_one(run, source / path, folder / path)
        parents.add((folder / path).parent)
    if paths:
        run.disk.sync_dirs(parents, folder)
        run.emit(FilesCarried, files=len(paths), size_bytes=size_bytes)
    return paths


def folded_paths(manifest: Manifest) -> set[str]:
    """Names that a release lists, as a volume compares them that makes no difference of case."""
    return {fold_key(entry.path) for entry in manifest.entries}


def carried_paths(folder: Path, manifest: Manifest) -> list[str]:
    """Unlisted plain files and links of a release folder that match its ignore_globs."""
    return [
        path
        for path in unlisted_paths(folder, manifest)
        if matches_any(path, manifest.ignore_globs)
        and ((folder / path).is_file() or host.is_link(folder / path))
    ]


def carried_bytes(folder: Path, manifest: Manifest) -> int:
    """Space that carrying along may need."""
    facts = [host.stat_facts(folder / path) for path in carried_paths(folder, manifest)]
    return sum(each.size for each in facts if each.is_file)


def unlisted_paths(folder: Path, manifest: Manifest) -> list[str]:
    """Everything in a release folder that its manifest does not list and we did not put there."""
    listed = {entry.path for entry in manifest.entries} | {MANIFEST_NAME}
    return [
        path
        for path in files_below(folder)
        if path not in listed and not path.endswith(TEMPORARY_SUFFIX)
    ]


def left_behind(
    folder: Path, manifest: Manifest, current: Path, active: Manifest | None
) -> list[str]:
    """Unlisted files that would be lost with a release folder: those that were not carried along.

    What runs and can be made again (byte code, logs, environments) is no loss where ignore_globs
    names it. ``current`` is the folder of the active release.
    """
    listed = folded_paths(active) if active else set()

    def is_covered(path: str) -> bool:
        if not matches_any(path, manifest.ignore_globs):
            return False
        if scope_of(path)[0] is Scope.RUNTIME:
            return True
        return (
            active is not None and fold_key(path) not in listed and os.path.lexists(current / path)
        )

    return [path for path in unlisted_paths(folder, manifest) if not is_covered(path)]


def _is_newer(source: Path, target: Path) -> bool:
    try:
        there = os.lstat(target)
    except FileNotFoundError:
        return True
    return not host.is_link(source) and os.lstat(source).st_mtime_ns > there.st_mtime_ns


def _carry_one(run: Run, source: Path, target: Path) -> int:
    run.disk.make_dir(target.parent)
    if host.is_link(source):
        try:
            run.disk.symlink(target, str(source.readlink()))
        except PermissionError:
            # Windows lets not everyone make links: it is set aside with the base.
            pass
        return 0
    temporary = target.with_name(target.name + TEMPORARY_SUFFIX)
    size_bytes = copy_file(run, source, temporary, below=run.tree.releases)
    run.disk.replace(temporary, target, below=run.tree.releases)
    return size_bytes
