"""One run of the engine on one tool: the lock, the ledger, the journal and the listeners."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from bitstation import host
from bitstation.core.events import FolderExposed, Listener
from bitstation.core.retention import DEFAULT_KEPT
from bitstation.core.stats import UpdateStats
from bitstation.errors import StoreLocked
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.hashing import Stop
from bitstation.storage.journal import Journal
from bitstation.storage.ledger import Ledger
from bitstation.storage.private import exposed_folders, make_guarded
from bitstation.storage.tree import ToolsRoot, ToolTree, check_plain
from bitstation.transport.pacing import Pacer
from bitstation.worker.emitter import Emitter

_LOCK_ATTEMPTS = 10


@dataclass(frozen=True)
class Options:
    """What the user allows and wants; each switch that lowers the guard is logged when used."""

    allow_downgrade: bool = False
    allow_unsigned: bool = False
    legacy: bool = False
    yes: bool = False
    """Answer for delete_policy manual: unlisted files of a retired release may be deleted."""
    keep: int = DEFAULT_KEPT
    """Releases kept for rollback."""
    pacer: Pacer | None = None
    """Holds downloads to a rate."""
    sequential: bool | None = None
    """One connection, in the order of the files: for disks that turn. None: as the disk is."""
    in_place: bool = False
    """Where there is no room for two copies of a file, give the installed release up for it."""


@dataclass
class Run:
    """Everything that the steps of one operation share, while its lock is held."""

    root: ToolsRoot
    tree: ToolTree
    disk: Disk
    ledger: Ledger
    emitter: Emitter
    journal: Journal
    stats: UpdateStats
    stop: Stop
    options: Options
    started_s: float = field(default_factory=time.monotonic)

    @property
    def emit(self) -> Callable[..., None]:
        """Send an event: ``run.emit(Kind, field=value)``."""
        return self.emitter.emit

    @property
    def seconds(self) -> float:
        """Time since the run began."""
        return time.monotonic() - self.started_s

    def clear_staged(self, path: Path) -> None:
        """Remove what stands under a name in staging, and nothing behind a link.

        Raises StoreError where its folder has become one.
        """
        self.tree.check_staged(path.parent)
        self.disk.remove(path, below=self.tree.releases)

    def open_staged(self, path: Path) -> BinaryIO:
        """Open a new file in staging, for what stands under its name; never one behind a link.

        Raises StoreError, OSError.
        """
        self.clear_staged(path)
        return self.disk.open_new(path, below=self.tree.releases)


@contextlib.contextmanager
def open_run(
    root: ToolsRoot,
    tool_id: str,
    *,
    listeners: tuple[Listener, ...] = (),
    disk: Disk | None = None,
    stop: Stop | None = None,
    options: Options | None = None,
) -> Iterator[Run]:
    """Hold the tool's lock and what a run needs; a tool that was absent leaves no folder behind.

    Raises StoreLocked (who holds it), PermissionRefused, StoreError.
    """
    tree, disk = root.tool(tool_id), disk or Disk()
    stats = UpdateStats()
    with disk_errors(tree.control):
        check_plain(root.control)
        tree.check_folders()
        lock = _taken_lock(root, tree, disk)
    try:
        with disk_errors(root.ledger):
            ledger = Ledger(root.ledger)
        with (
            contextlib.closing(ledger),
            contextlib.closing(Journal(tree.journal, disk)) as journal,
            disk_errors(tree.path),
        ):
            run_id = uuid.uuid4().hex
            emitter = Emitter(run_id, tool_id, time.monotonic, (stats.apply, *listeners))
            for folder in exposed_folders(root, tree):
                emitter.emit(FolderExposed, folder=str(folder))
            chosen = (stop or Stop(), options or Options())
            yield Run(root, tree, disk, ledger, emitter, journal, stats, *chosen)
    finally:
        try:
            if not tree.releases.exists():
                _forget(tree, disk, lock)
        finally:
            lock.release()


def _taken_lock(root: ToolsRoot, tree: ToolTree, disk: Disk) -> host.FileLock:
    lock = host.FileLock(tree.lock)
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            make_guarded([root.path, root.control, tree.path, tree.control], disk)
            is_taken = lock.acquire()
            break
        except FileNotFoundError:
            # A run that leaves no tool behind has just removed the folder.
            if attempt == _LOCK_ATTEMPTS - 1:
                raise
    if not is_taken:
        raise StoreLocked(path=str(tree.path), holder=lock.read_holder() or "unknown")
    since = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        lock.write_holder(f"process {os.getpid()} since {since}")
    except BaseException:
        lock.release()
        raise
    return lock


def _forget(tree: ToolTree, disk: Disk, lock: host.FileLock) -> None:
    """Remove the control folder of a tool that has no release, and its folder when empty."""
    with contextlib.suppress(OSError):
        for path in (tree.journal, tree.plan):
            disk.remove(path)
        lock.discard()
        disk.remove_dir(tree.control)
        disk.remove_dir(tree.path)
