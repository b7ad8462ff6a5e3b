"""The programs beside which BitStation runs; each brings a tree from old to new in its own way."""

from __future__ import annotations

from peers import casync, files, patches, rsync, zsync
from peers.peer import Peer


def everyone() -> list[Peer]:
    """All of them, installed or not."""
    return [
        files.Whole(),
        files.Compressed(),
        rsync.Rsync(),
        zsync.Zsync(),
        casync.Casync(),
        patches.ZstdPatch(),
        patches.Xdelta(),
    ]
