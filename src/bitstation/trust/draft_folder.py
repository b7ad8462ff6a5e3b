"""A draft as a folder, that goes from owner to owner: on a disk, by mail."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from bitstation import host
from bitstation.core.mirror import is_metadata_name
from bitstation.errors import SignatureRefused
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.trust.draft import Draft
from bitstation.trust.files import read_file
from bitstation.trust.roles import BIN_BITS, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, max_bytes
from bitstation.trust.signing import File

BEFORE_NAME = "before"
MAX_FILES = (1 << BIN_BITS) + 8
"""Every bin of a publisher, he, and the roles above him."""
MAX_DRAFT_BYTES = 64 << 20

_ORDER = {ROOT: 0, TARGETS: 1, SNAPSHOT: 3, TIMESTAMP: 4}


class DraftFolder:
    """The draft at ``path``. Raises StoreError.

    Crash: a file is the earlier or the new one; what all of them are is checked when it is loaded.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self.path = path
        self._disk = disk or Disk()

    @property
    def exists(self) -> bool:
        """Say whether there is anything."""
        return self.path.exists()

    def load(self) -> Draft:
        """What is there, unchecked. Raises SignatureRefused for what is too large, or a link."""
        before = self.path / BEFORE_NAME
        with disk_errors(before):
            leads_away = host.is_link(before)
        if leads_away:
            # It would be written, and removed again, wherever that is.
            detail = "it leads to another folder"
            raise SignatureRefused(source=str(self.path), what=BEFORE_NAME, detail=detail)
        return Draft(self._load(self.path), self._load(before))

    def save(self, draft: Draft) -> None:
        """Write it; what it replaces first."""
        with disk_errors(self.path):
            for folder, files in self._parts(draft):
                self._disk.make_dir(folder)
                for file in files:
                    self._disk.write_file(folder / file.name, file.data)

    def remove(self, draft: Draft) -> None:
        """Remove the files of a draft, and the folder where nothing else is in it."""
        with disk_errors(self.path):
            for folder, files in self._parts(draft):
                for file in files:
                    self._disk.remove(folder / file.name)
                if folder.is_dir() and not any(folder.iterdir()):
                    self._disk.remove_dir(folder)

    def _parts(self, draft: Draft) -> list[tuple[Path, tuple[File, ...]]]:
        return [(self.path / BEFORE_NAME, draft.before), (self.path, draft.files)]

    def _load(self, folder: Path) -> tuple[File, ...]:
        with disk_errors(folder):
            paths = list(islice(folder.glob("*.json"), MAX_FILES + 1))
            names = [path.name for path in paths if is_metadata_name(path.name) and path.is_file()]
        if len(paths) > MAX_FILES:
            raise SignatureRefused(source=str(folder), what=ROOT, detail="it has too many files")
        files, left = list[File](), MAX_DRAFT_BYTES
        for name in names:
            role = File(name, b"").role
            if (data := read_file(folder / name, min(max_bytes(role), left))) is not None:
                files.append(File(name, data))
                left -= len(data)
        return tuple(sorted(files, key=lambda file: (_ORDER.get(file.role, 2), file.name)))
