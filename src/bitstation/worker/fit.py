"""Whether the volume can take what is planned: asked before the first byte."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bitstation import host
from bitstation.core.manifest import Entry
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.errors import DiskFull, VolumeUnfit
from bitstation.storage.faults import free_bytes
from bitstation.worker.run import Run

# Room for folders, the journal and the ledger beside the files themselves.
_MARGIN_BYTES = 4 * 1024 * 1024
# Every volume takes a file of so many: FAT32 no longer one.
_ANY_VOLUME_BYTES = 4 * 1024**3 - 1


class InPlacePossible(DiskFull):
    """There is no room for two copies of a file, but there is for one that is remade."""

    code = "disk-full-for-two"
    hint = (
        "free some space; or let large files be remade where they are with --in-place: the "
        "installed release is given up for it, and there is no way back to it"
    )


def check_space(run: Run, needed_bytes: int) -> None:
    """Refuse what the volume has no room for. Raises DiskFull."""
    room = room_bytes(run)
    if needed_bytes > room:
        needed, free = needed_bytes + _MARGIN_BYTES, room + _MARGIN_BYTES
        raise DiskFull(path=str(run.tree.path), needed_bytes=needed, free_bytes=free)


def room_bytes(run: Run) -> int:
    """Bytes that files may take on the tool's volume."""
    return free_bytes(run.tree.path) - _MARGIN_BYTES


def can_share(run: Run) -> bool:
    """Say whether one content may stand under two names on the tool's volume."""
    # Not a name of the lock: Windows removes no name of a file that is open.
    probe, twin = run.tree.control / "probe", run.tree.control / "probe-twin"
    run.disk.remove(twin)
    run.disk.open_new(probe, replace=True).close()
    try:
        run.disk.link(probe, twin)
    except OSError:
        return False
    else:
        run.disk.remove(twin)
        return True
    finally:
        run.disk.remove(probe)


def check_lengths(run: Run, entries: Iterable[Entry]) -> None:
    """Refuse a file that is longer than any on the tool's volume can be. Raises VolumeUnfit."""
    for entry in entries:
        if entry.size > _ANY_VOLUME_BYTES and not host.takes_length(run.tree.lock, entry.size):
            detail = f"no file of {entry.size} bytes can lie here (FAT32?)"
            raise VolumeUnfit(path=entry.path, detail=detail)


def check_paths(folder: Path, paths: Iterable[str]) -> None:
    """Refuse paths that are too long for the volume below ``folder``. Raises VolumeUnfit."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    longest, longest_name = host.path_limit(existing)
    prefix = len(str(folder).encode()) + 1 + len(TEMPORARY_SUFFIX)
    for path in paths:
        encoded = path.encode()
        if prefix + len(encoded) > longest:
            raise VolumeUnfit(path=path, detail=f"its path is longer than {longest} bytes here")
        if max(map(len, encoded.split(b"/"))) > longest_name:
            raise VolumeUnfit(path=path, detail=f"a name is longer than {longest_name} bytes here")
