"""What this machine believes: the pinned root and the newest metadata seen, in one file.

One file, so that after a crash all versions are those of one moment, and none is older than it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bitstation.core.digest import Digest, digest_of
from bitstation.errors import PinConflict, StoreCorrupt
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.locks import held_lock
from bitstation.trust.believed import Believed, version_in

MAX_PINS_BYTES = 64 << 20
_VERSION = 1
_LOCK_WAIT_S = 10.0


class _Document(msgspec.Struct, frozen=True):
    pins_version: int
    root: str
    timestamp: str = ""
    snapshot: str = ""
    targets: dict[str, str] = {}


class Pins:
    """The file at ``path``. Raises StoreCorrupt for a damaged one: its lack would lower the guard.

    Crash: the earlier or the new content.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk()

    def load(self) -> Believed | None:
        """What is believed; None where nothing was ever pinned."""
        with disk_errors(self._path):
            try:
                with self._path.open("rb") as file:
                    data = file.read(MAX_PINS_BYTES + 1)
            except FileNotFoundError:
                return None
        try:
            found = msgspec.json.decode(data, type=_Document)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise StoreCorrupt(path=str(self._path), detail=str(error)) from error
        if found.pins_version != _VERSION or len(data) > MAX_PINS_BYTES:
            raise StoreCorrupt(path=str(self._path), detail="its version is not known")
        targets = {role: text.encode() for role, text in found.targets.items()}
        return Believed(
            found.root.encode(), found.timestamp.encode(), found.snapshot.encode(), targets
        )

    def pin(self, root: bytes, *, source: str, fingerprint: str | None = None) -> Digest:
        """Believe a root from now on; its fingerprint, which must be the given one.

        Raises PinConflict when it is not, or when another root is pinned; SignatureRefused for
        what is no root.
        """
        from bitstation.trust.chain import check_root

        offered = digest_of(root)
        check_root(root, name=source)
        if fingerprint is not None and fingerprint.lower().replace(":", "") != offered:
            raise PinConflict(source=source, offered=offered, known=fingerprint)
        with self._locked():
            known = self.load()
            if known is not None and known.root != root:
                raise PinConflict(source=source, offered=offered, known=digest_of(known.root))
            if known is None:
                self._write(Believed(root))
        return offered

    def keep(self, believed: Believed, before: Believed) -> None:
        """Keep what was learnt, unless another run has learnt more meanwhile."""
        if believed == before:
            return
        with self._locked():
            known = self.load() or before
            if _age(known) <= _age(believed):
                self._write(believed)

    def _write(self, believed: Believed) -> None:
        texts = {role: data.decode() for role, data in believed.targets.items()}
        document = _Document(
            _VERSION,
            believed.root.decode(),
            believed.timestamp.decode(),
            believed.snapshot.decode(),
            texts,
        )
        with disk_errors(self._path):
            self._disk.write_file(self._path, msgspec.json.encode(document))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._path.with_suffix(".lock")
        with disk_errors(path):
            self._disk.make_dir(path.parent)
        with held_lock(path, _LOCK_WAIT_S):
            yield


def _age(believed: Believed) -> tuple[int, int]:
    """Versions of root and timestamp: the more, the newer."""
    return version_in(believed.root) or 0, version_in(believed.timestamp) or 0
