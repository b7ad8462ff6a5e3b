"""An HQ without its network: everything below one data folder, opened and closed together."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from bitstation import host
from bitstation.core.mirror import METADATA
from bitstation.errors import KeyRefused, StoreLocked
from bitstation.hq.database import Database
from bitstation.hq.guides import Guides
from bitstation.hq.listing import Listing
from bitstation.hq.lookup import BlobLookup
from bitstation.hq.offers import Offers
from bitstation.hq.releases import Releases
from bitstation.hq.requirements import Requirements
from bitstation.hq.sessions import PublishSessions
from bitstation.hq.token import load_token
from bitstation.storage.blobs import BlobFolder
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.trust.keyring import Keyring
from bitstation.trust.place import Place
from bitstation.trust.roles import ONLINE_LIFE

TOKEN_NAME = "publisher-token"
KEYS_NAME = "keys"
_ABANDONED_UPLOAD_S = 7 * 24 * 3600

log = logging.getLogger(__name__)


class Headquarters:
    """The parts of an HQ; a context manager, and the only one at its folder.

    Raises StoreLocked when another HQ runs on the same folder.
    """

    def __init__(self, folder: Path, keys: Path | None = None) -> None:
        """``keys``: folder that 'bitstation keys init' made; without one HQ makes its own."""
        disk = Disk()
        with disk_errors(folder):
            disk.make_dir(folder, private=True)
            if host.others_may_write(folder):
                log.warning("others may write in %s: whoever does decides what workers run", folder)
        self.token_path = folder / TOKEN_NAME
        self._lock = _locked(folder / "lock")
        try:
            self.token = load_token(self.token_path)
            self.blobs = BlobFolder(folder, disk)
            self.blobs.sweep_incoming(_ABANDONED_UPLOAD_S)
            self._database = Database(folder / "hq.sqlite3")
            signing = _signing(keys or folder / KEYS_NAME, disk, is_given=keys is not None)
        except BaseException:
            self._lock.release()
            raise
        self.releases = Releases(self._database)
        self.signing = signing
        self.requirements = Requirements(self._database, signing)
        guides = Guides(self._database, self.blobs)
        self.sessions = PublishSessions(self._database, self.blobs, self.releases, guides, signing)
        self.offers = Offers(self.releases, self.requirements, guides)
        self.listing = Listing(self.releases, self.requirements, self.blobs)
        self.lookup = BlobLookup(self.releases)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()
        self._lock.release()

    def check(self) -> None:
        """Raise BitStationError when the database or the blob folder cannot be used."""
        self._database.check()
        self.blobs.check()


def _signing(keys: Path, disk: Disk, *, is_given: bool) -> Place:
    """What HQ signs; where it was given no keys and has none yet, it makes its own."""
    passphrase = os.environ.get("BITSTATION_PASSPHRASE", "")
    keyring = Keyring(keys, lambda _name: passphrase, disk)
    signing = Place(keys / METADATA, keyring, ONLINE_LIFE, disk=disk)
    if not signing.exists:
        if is_given:
            # Of owners who have not all signed yet: keys of HQ's own would take their place.
            raise KeyRefused(name=str(keys), detail="'bitstation keys init' is not finished there")
        signing.found()
    signing.renew()
    return signing


def _locked(path: Path) -> host.FileLock:
    lock = host.FileLock(path)
    with disk_errors(path):
        if not lock.acquire():
            raise StoreLocked(path=str(path.parent), holder=lock.read_holder() or "another HQ")
        lock.write_holder(f"bitstation hq serve, process {os.getpid()}")
    return lock
