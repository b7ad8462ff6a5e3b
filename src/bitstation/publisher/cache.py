"""Where the publisher keeps what it may lose: its ledger, begun downloads, locks of output folders.

Outside of every tool folder, so that nothing of it can ship.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitstation import host
from bitstation.core.digest import digest_of
from bitstation.errors import StoreLocked
from bitstation.storage.faults import disk_errors
from bitstation.storage.ledger import Ledger


def cache_dir() -> Path:
    """Folder named by BITSTATION_CACHE_DIR, else the user's own for caches; created here.

    Raises StoreError.
    """
    if wish := os.environ.get("BITSTATION_CACHE_DIR"):
        folder = Path(wish)
    else:
        import platformdirs

        folder = platformdirs.user_cache_path("bitstation", appauthor=False)
    folder = host.native_path(folder.absolute())
    with disk_errors(folder):
        # A forged proof here would ship a file under another's digest.
        host.make_dir(folder, private=True)
    return folder


def open_ledger() -> Ledger:
    """Proofs of files of all tool folders of this user. Raises StoreError."""
    path = cache_dir() / "publisher-ledger.sqlite3"
    with disk_errors(path):
        return Ledger(path)


@contextmanager
def locked(what: str) -> Iterator[None]:
    """Hold off other runs of this user that would write ``what``. Raises StoreLocked."""
    folder = cache_dir() / "locks"
    with disk_errors(folder):
        host.make_dir(folder)
        lock = host.FileLock(folder / digest_of(what.encode("utf-8", "surrogatepass")))
        if not lock.acquire():
            raise StoreLocked(path=what, holder=lock.read_holder())
    try:
        lock.write_holder(f"process {os.getpid()}")
        yield
    finally:
        lock.release()
