"""Files and folders of ours from which other users of this machine are kept away."""

from __future__ import annotations

import os
from pathlib import Path

from bitstation import host
from bitstation.storage.durable import Disk
from bitstation.storage.tree import ToolsRoot, ToolTree


def make_private_file(path: Path) -> None:
    """Create an empty file that only its owner may read; an existing one stays. Raises OSError.

    For databases: SQLite opens what it finds, and gives the files beside it the same mode. Whoever
    may read one may hold its locks.
    """
    if not path.exists():
        os.close(host.create_file(path, os.O_RDWR, private=True))


def make_guarded(folders: list[Path], disk: Disk) -> None:
    """Create folders in which nobody else may write; existing ones stay. Raises OSError."""
    for folder in folders:
        if not folder.is_dir():
            disk.make_dir(folder)
            disk.shut_out(folder)


def exposed_folders(root: ToolsRoot, tree: ToolTree) -> list[Path]:
    """Folders of a tool, and of the root above it, in which others may write.

    Who may write there decides what runs: he could replace the pointer, or forge a proof.
    """
    folders = (root.path, root.control, tree.path, tree.control, tree.releases)
    return [folder for folder in folders if folder.is_dir() and _is_exposed(folder)]


def _is_exposed(folder: Path) -> bool:
    try:
        return host.others_may_write(folder)
    except OSError:
        # Who may not even ask is not told; nothing rests on the answer.
        return False
