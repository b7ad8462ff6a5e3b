"""Give disk space back: leftovers of all tools, or one tool altogether."""

from __future__ import annotations

from bitstation.core.retention import decide_retired
from bitstation.errors import NoInstallation
from bitstation.storage.tree import ToolTree
from bitstation.worker.collect import collect, retire
from bitstation.worker.history import previous_version
from bitstation.worker.recover import recover
from bitstation.worker.run import Run


def collect_garbage(run: Run) -> None:
    """Remove what no kept release needs: retired releases, staging, half-removed folders.

    An interrupted download is garbage too once this is asked for.
    """
    recover(run)
    if run.tree.current_version() is not None:
        run.journal.drop()
        run.disk.remove(run.tree.plan)
        collect(run, previous=previous_version(run.tree))


def garbage(tree: ToolTree) -> list[str]:
    """What a collection would remove: kept releases beyond retention, staging, headless folders."""
    kept = tree.kept_versions()
    retired = decide_retired(kept, tree.current_version(), previous_version(tree))
    known = {f"v{version}" for version in kept}
    folders = [entry.name for entry in tree.releases.iterdir() if entry.name not in known]
    return [f"v{version}" for version in retired] + sorted(folders)


def uninstall(run: Run) -> None:
    """Remove every release of the tool; venv, cache, user_data and logs stay.

    Unlisted files of its releases are treated by their delete_policy, as at an update. Crash: the
    pointer goes first, so that what is left is no installation; a second call goes on.
    """
    tree = run.tree
    recover(run)
    if not tree.releases.is_dir():
        raise NoInstallation(tool_id=tree.tool_id, root=str(run.root.path))
    run.disk.remove(tree.pointer)
    run.disk.sync_dir(tree.path)
    for version in tree.kept_versions():
        retire(run, version)
    run.disk.remove_tree(tree.staging_area)
    if not any(tree.releases.iterdir()):
        for path in (tree.history, tree.plan, tree.journal):
            run.disk.remove(path)
        run.disk.remove_dir(tree.releases)
