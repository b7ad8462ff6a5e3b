"""The way back: an earlier release becomes current again, without a byte from anywhere."""

from __future__ import annotations

from bitstation.core.diff import deleted_paths
from bitstation.core.events import EntryPlaced, RunStarted
from bitstation.core.manifest import Manifest
from bitstation.core.stats import UpdateStats
from bitstation.errors import (
    BitStationError,
    NoEarlierRelease,
    NoInstallation,
    NoSuchRelease,
    ReleaseDamaged,
)
from bitstation.storage.faults import disk_errors
from bitstation.storage.tree import ToolTree
from bitstation.worker.activate import point_to
from bitstation.worker.carry import carry
from bitstation.worker.history import append_history, previous_version
from bitstation.worker.recover import recover
from bitstation.worker.run import Run
from bitstation.worker.update import current_manifest, end
from bitstation.worker.verify import verify_folder


def rollback(run: Run, version: str | None = None) -> UpdateStats:
    """Make a kept release current: ``version``, else the one that was active before.

    Raises NoInstallation, NoSuchRelease, ReleaseDamaged (nothing changed). Crash: the pointer is
    the one thing that changes; it names the one or the other.
    """
    recover(run)
    tree = run.tree
    base = current_manifest(run)
    target = rollback_target(tree, version)
    run.emit(
        RunStarted,
        command="rollback",
        from_version=base.tool_version if base else None,
        to_version=target.tool_version,
        manifest_hash=target.manifest_hash,
    )
    try:
        with disk_errors(tree.path):
            _prove(run, target)
            carry(run, base, tree.release(target.tool_version), target)
            point_to(run, target, len(deleted_paths(base, target)))
            append_history(run, "rollback")
    except BitStationError as error:
        end(run, error.code)
        raise
    end(run, "done")
    return run.stats


def rollback_target(tree: ToolTree, version: str | None) -> Manifest:
    """The kept release that a rollback would make current. Raises NoInstallation, NoSuchRelease."""
    kept = tree.kept_versions()
    if not kept:
        raise NoInstallation(tool_id=tree.tool_id, root=str(tree.path.parent))
    wanted = version or _before(tree, kept)
    target = tree.manifest(wanted) if wanted in kept else None
    if target is None:
        kind = NoSuchRelease if wanted else NoEarlierRelease
        raise kind(tool_id=tree.tool_id, version=wanted, kept=", ".join(kept))
    return target


def _before(tree: ToolTree, kept: list[str]) -> str:
    """The release that was active before; without a memory of it, the newest other one."""
    current = tree.current_version()
    previous = previous_version(tree)
    if previous in kept:
        return previous
    return next((version for version in kept if version != current), "")


def _prove(run: Run, target: Manifest) -> None:
    for entry in target.entries:
        run.emit(EntryPlaced, path=entry.path, size_bytes=entry.size, how="kept")
    verdict = verify_folder(run, run.tree.release(target.tool_version), target)
    if verdict.damaged:
        raise ReleaseDamaged(
            tool_id=target.tool_id,
            version=target.tool_version,
            count=len(verdict.damaged),
            detail=", ".join(entry.path for entry in verdict.damaged[:5]),
        )
