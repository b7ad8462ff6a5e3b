"""Give disk space back: leftovers of all tools, or one tool altogether."""

from __future__ import annotations

from bitstation.core.retention import DEFAULT_KEPT, decide_retired
from bitstation.errors import NoInstallation
from bitstation.storage.tree import ToolTree
from bitstation.worker.collect import clear_leftovers, collect, retire
from bitstation.worker.discard import drop_empty
from bitstation.worker.history import previous_version
from bitstation.worker.papers import forget_atlases
from bitstation.worker.recover import in_place, recover
from bitstation.worker.resume import is_given_up
from bitstation.worker.run import Run


def collect_garbage(run: Run) -> None:
    """Remove what no kept release needs: retired releases, staging, half-removed folders.

    An interrupted download is garbage too once this is asked for, but not files that are being
    remade in place: nothing else is left of the tool. Raises OSError when something is in use; the
    rest is gone then.
    """
    recover(run)
    tree = run.tree
    if is_given_up(tree):
        return
    with in_place(run, "gc"):
        if tree.current_version() is not None:
            faults = collect(run, previous_version(tree))
        else:
            faults = clear_leftovers(run)
            forget_atlases(run)
    run.disk.remove(tree.plan)
    run.journal.drop()
    drop_empty(run)
    if faults:
        raise faults[0]


def garbage(tree: ToolTree, keep: int = DEFAULT_KEPT) -> list[str]:
    """What a collection would remove, by name: releases, begun removals, staging."""
    if is_given_up(tree):
        return []
    current = tree.current_version()
    kept = tree.kept_versions()
    retired = decide_retired(kept, current, previous_version(tree), keep)
    bare = [version for version in tree.release_folders() if version not in (*kept, current)]
    folders = [folder.name for folder in tree.retired_folders()]
    if tree.staging_area.is_dir() and any(tree.staging_area.iterdir()):
        folders.append(tree.staging_area.name)
    return [f"v{version}" for version in (*retired, *bare)] + folders


def uninstall(run: Run) -> None:
    """Remove every release of the tool; venv, cache, user_data and logs stay.

    Unlisted files of its releases are treated by their delete_policy, as at an update, but that
    nobody is asked: under the policy manual they are set aside. Raises NoInstallation, OSError
    when something is in use; the rest is gone then. Crash: the pointer goes first, so that what is
    left is no installation; a second call goes on.
    """
    tree = run.tree
    recover(run)
    if not tree.releases.is_dir():
        raise NoInstallation(tool_id=tree.tool_id, root=str(run.root.path))
    with in_place(run, "uninstall"):
        run.disk.remove(tree.pointer)
        run.disk.sync_dir(tree.path)
        faults = []
        for version in tree.release_folders():
            faults += retire(run, version, asks=False)
        faults += clear_leftovers(run)
    if faults:
        raise faults[0]
    for path in (tree.history, tree.plan, tree.journal):
        run.disk.remove(path)
    forget_atlases(run)
    drop_empty(run)
