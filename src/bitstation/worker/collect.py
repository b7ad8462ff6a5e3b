"""Retire releases that are no longer kept, losing nothing that the user put there.

Crash: a release leaves the set of kept ones first (its manifest gets another name), then its
files go; a later collection goes on. Every step may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bitstation import host
from bitstation.core.events import PhaseChanged, ReleaseKept, ReleaseRetired, RetireDeferred
from bitstation.core.globs import matches_any
from bitstation.core.manifest import Entry, Manifest, parse_manifest
from bitstation.core.relpath import RETIRED_NAME
from bitstation.core.retention import decide_retired
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import ManifestError
from bitstation.storage.reuse import remove_name
from bitstation.storage.tree import files_below
from bitstation.worker.inventory import names_of
from bitstation.worker.run import Run


def collect(run: Run, previous: str | None) -> None:
    """Retire what retention lets go, and clear staging. Files in use are left for a later run."""
    tree = run.tree
    run.emit(PhaseChanged, phase="collect")
    current, kept = tree.current_version(), tree.kept_versions()
    retired = decide_retired(kept, current, previous, run.options.keep)
    for version in kept:
        if version != current and version not in retired:
            run.emit(ReleaseKept, version=version)
    for version in retired:
        retire(run, version)
    for leftover in _headless(run):
        _remove_files(run, leftover)
    run.disk.remove_tree(tree.staging_area)


def retire(run: Run, version: str) -> None:
    """Remove one release; its unlisted files are treated by its delete_policy."""
    folder = run.tree.release(version)
    manifest = run.tree.manifest(version)
    unlisted = unlisted_files(folder, manifest) if manifest else []
    policy = manifest.delete_policy if manifest else "safe"
    if unlisted and policy == "manual" and not run.options.yes:
        run.emit(RetireDeferred, version=version, why="asked", files=len(unlisted))
        return
    aside = run.tree.user_data / f"from-v{version}"
    keeps = policy not in ("aggressive", "manual")
    try:
        if keeps:
            _set_aside(run, folder, aside, unlisted)
        run.disk.replace(folder / MANIFEST_NAME, folder / RETIRED_NAME)
        run.disk.sync_dir(folder)
        _remove_files(run, folder)
    except OSError as error:
        # The new release is current: what cannot go now goes at a later collection.
        run.emit(RetireDeferred, version=version, why=error.strerror or "in-use")
        return
    run.emit(
        ReleaseRetired,
        version=version,
        set_aside=len(unlisted) if keeps else 0,
        destroyed=0 if keeps else len(unlisted),
        folder=str(aside) if keeps and unlisted else "",
    )


def unlisted_files(folder: Path, manifest: Manifest) -> list[str]:
    """Files that neither the manifest lists nor ignore_globs covers (those were carried along)."""
    listed = {entry.path for entry in manifest.entries} | {MANIFEST_NAME, RETIRED_NAME}
    return [
        path
        for path in files_below(folder)
        if path not in listed and not matches_any(path, manifest.ignore_globs)
    ]


def _set_aside(run: Run, folder: Path, aside: Path, paths: Iterable[str]) -> None:
    for path in paths:
        target = _free_name(aside / path)
        run.disk.make_dir(target.parent)
        run.disk.replace(folder / path, target)
        run.disk.sync_dir(target.parent)


def _free_name(path: Path) -> Path:
    """The name itself, or the first numbered one that is free: nothing there is overwritten."""
    candidate, number = path, 1
    while candidate.exists() or host.is_link(candidate):
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate


def _remove_files(run: Run, folder: Path) -> None:
    """Remove a retired folder; files shared with other releases keep their proofs there."""
    shared = {entry.sha256: folder / entry.path for entry in _shared_entries(folder)}
    others = names_of(run, shared.keys())
    for digest, path in shared.items():
        remove_name(path, run.disk, run.ledger, others.get(digest, []))
    run.disk.remove_tree(folder)


def _shared_entries(folder: Path) -> list[Entry]:
    try:
        data = (folder / RETIRED_NAME).read_bytes()
        entries = parse_manifest(data, any_scope=True).entries
    except (OSError, ManifestError):
        return []
    return [entry for entry in entries if _is_shared(folder / entry.path)]


def _is_shared(path: Path) -> bool:
    try:
        return host.stat_facts(path).links > 1
    except OSError:
        return False


def _headless(run: Run) -> list[Path]:
    """Folders of releases without a manifest: being removed, or never finished."""
    kept = {f"v{version}" for version in run.tree.kept_versions()}
    kept.add(run.tree.staging_area.name)
    current = run.tree.current_version()
    kept.add(f"v{current}")
    return [
        entry for entry in run.tree.releases.iterdir() if entry.is_dir() and entry.name not in kept
    ]
