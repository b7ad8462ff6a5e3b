"""A publisher, its owners and an HQ's online key in one folder: true metadata, and any lie.

``SignedShelf`` signs releases as they are signed in life; ``source`` offers them from memory. A lie
is made by ``forge``: metadata of a role, edited and signed by whoever is named, put in the place of
the true ones. Nothing of it is secret or durable: it is for tests.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, Timestamp

from bitstation.core.wire import Requirement
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import Release
from bitstation.trust.ceremony import HQ_ROSTER, Roster
from bitstation.trust.keyring import Keyring
from bitstation.trust.pins import Pins
from bitstation.trust.place import Place
from bitstation.trust.roles import (
    ONLINE_LIFE,
    REQUIREMENTS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    file_name,
    max_bytes,
)
from bitstation.trust.signing import File, ReleaseName, signed_bytes

OWNERS = HQ_ROSTER.owners
PUBLISHER_KEY = HQ_ROSTER.publisher_key
ONLINE_KEY = HQ_ROSTER.online_key

Edit = Callable[[Any], object]
"""Changes the ``signed`` part of metadata in place."""


def no_edit(_signed: Any) -> None:
    """Leave metadata as they are: only signatures differ."""


class SignedShelf:
    """Keys and metadata below a folder. ``moment`` is when whatever comes next is signed."""

    def __init__(self, folder: Path, roster: Roster = HQ_ROSTER) -> None:
        self.moment = datetime.now(UTC).replace(microsecond=0)
        self.roster = roster
        disk = QuickDisk()
        self.keyring = Keyring(folder / "keys", lambda _name: "", disk)
        self.place = Place(
            folder / "metadata", self.keyring, ONLINE_LIFE, clock=lambda: self.moment, disk=disk
        )
        if not self.place.exists:
            self.place.found(roster)
        self._releases: list[Release] = []

    def publish(self, *releases: Release) -> None:
        """Sign releases, and offer them from now on."""
        for release in releases:
            self.place.sign(ReleaseName.of(release.manifest))
            self._releases.append(release)

    def require(self, release: Release, channel: str = "stable") -> None:
        """Sign what HQ requires."""
        manifest = release.manifest
        self.place.require(
            Requirement(manifest.tool_id, channel, release.version, manifest.manifest_hash)
        )

    def source(self, *more: Release) -> MemorySource:
        """All that was published, ``more`` that nobody signed, and the metadata as they are now."""
        source = MemorySource(*self._releases, *more)
        source.metadata = self.files()
        return source

    def files(self) -> dict[str, bytes]:
        """Metadata by the names of their files; packed ones are left out, for lies are not."""
        found = sorted(self.place.folder.glob("*.json"))
        return {path.name: path.read_bytes() for path in found}

    def pin(self, tools_root: Path) -> None:
        """Let a worker believe the newest root."""
        Pins(ToolsRoot(tools_root).pins, QuickDisk()).pin(
            self.place.first_root(), source="the shelf"
        )

    def bin_of(self, release: Release) -> str:
        """Role that signed a release."""
        path = f"{release.manifest.tool_id}/{release.version}/manifest.json"
        found = self.place.chain().find(path)
        assert found is not None
        return found[1]

    def version(self, role: str) -> int:
        """Newest version of a role's metadata."""
        return max(
            (Metadata[Any].from_bytes(data).signed.version
             for name, data in self.files().items()
             if name.endswith(f".{role}.json") or name == f"{role}.json"),
            default=0,
        )  # fmt: skip

    def loaded(self, role: str, version: int | None = None) -> Metadata[Any]:
        """Metadata of a role, the newest where no version is named."""
        number = None if role == TIMESTAMP else version or self.version(role)
        data = self.place.read(file_name(role, number), max_bytes(role))
        assert data is not None
        return Metadata[Any].from_bytes(data)

    def forge(
        self, role: str, edit: Edit = no_edit, keys: Sequence[str] = (), *, same: bool = False
    ) -> bytes:
        """Metadata of a role, edited, one version on (or ``same``), signed by these keys."""
        signed: Signed = copy.deepcopy(self.loaded(role).signed)
        if not same:
            signed.version += 1
        edit(signed)
        return signed_bytes(signed, [self.keyring.signer(key) for key in keys])

    def put(self, role: str, data: bytes, version: int | None = None) -> None:
        """Show a file as it is, whatever it holds."""
        number = None if role == TIMESTAMP else version
        if number is None and role != TIMESTAMP:
            number = Metadata[Any].from_bytes(data).signed.version
        (self.place.folder / file_name(role, number)).write_bytes(data)

    def show(self, role: str, data: bytes, keys: Sequence[str] = (ONLINE_KEY,)) -> None:
        """Show metadata of a role, named by a snapshot and a timestamp that these keys sign."""
        version = Metadata[Any].from_bytes(data).signed.version
        self.put(role, data)

        def name(snapshot: Snapshot) -> None:
            snapshot.meta[f"{role}.json"] = MetaFile(version)

        self.put(SNAPSHOT, self.forge(SNAPSHOT, name, keys))
        self.point(keys)

    def point(self, keys: Sequence[str] = (ONLINE_KEY,)) -> None:
        """Let the timestamp name the newest snapshot."""
        newest = self.version(SNAPSHOT)

        def name(timestamp: Timestamp) -> None:
            timestamp.snapshot_meta = MetaFile(newest)

        self.put(TIMESTAMP, self.forge(TIMESTAMP, name, keys))

    def rotate_root(self, edit: Callable[[Root], object], *keys: str) -> bytes:
        """The next root, edited and signed by these keys (all owners when none is named)."""
        data = self.forge(ROOT, edit, keys or self.roster.owners)
        self.put(ROOT, data)
        return data

    def mend(self, honest: Mapping[str, bytes]) -> None:
        """Sign again what metadata said, above every version that has been shown since.

        Roots that came since go: an honest one is made by ``rotate_root`` afterwards.
        """
        said = _newest(honest)
        snapshot, timestamp = said.pop(SNAPSHOT).signed, said.pop(TIMESTAMP).signed
        for name in self.files().keys() - honest.keys():
            if name.endswith(f".{ROOT}.json"):
                (self.place.folder / name).unlink()
        for role, metadata in said.items():
            if self.version(role) > metadata.signed.version:
                self._sign_above(role, metadata.signed)
                snapshot.meta[f"{role}.json"] = MetaFile(metadata.signed.version)
        self._sign_above(SNAPSHOT, snapshot)
        timestamp.snapshot_meta = MetaFile(snapshot.version)
        self._sign_above(TIMESTAMP, timestamp)

    def _sign_above(self, role: str, signed: Any) -> None:
        signed.version = max(signed.version, self.version(role)) + 1
        online = (SNAPSHOT, TIMESTAMP, REQUIREMENTS)
        keys = [ONLINE_KEY] if role in online else [PUBLISHER_KEY]
        keys = [*self.roster.owners] if role == TARGETS else keys
        self.put(role, signed_bytes(signed, [self.keyring.signer(key) for key in keys]))


def _newest(files: Mapping[str, bytes]) -> dict[str, Metadata[Any]]:
    """Newest metadata of each role."""
    found: dict[str, Metadata[Any]] = {}
    for name, data in files.items():
        role = File(name, data).role
        metadata = Metadata[Any].from_bytes(data)
        if role not in found or metadata.signed.version > found[role].signed.version:
            found[role] = metadata
    return found


def expired(signed: Any) -> None:
    """Edit: it has expired a year ago."""
    signed.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(days=365)
