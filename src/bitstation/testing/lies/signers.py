"""T1 to T13: who signs, and how the root changes.

Each lie is given a shelf on which ``OLD`` and ``NEW`` are signed, and makes the source that tells
it. The attacker holds whichever keys a case needs: often HQ's own, now and then a publisher's.
"""

from __future__ import annotations

import json
from typing import Any

from tuf.api.metadata import TargetFile

from bitstation.testing.lies.releases import EVIL, NEW, OLD
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import Release
from bitstation.testing.signed import (
    ONLINE_KEY,
    OWNERS,
    PUBLISHER_KEY,
    Edit,
    SignedShelf,
    expired,
)
from bitstation.trust.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, file_name, release_path

TIMESTAMP_FILE = file_name(TIMESTAMP)


def naming(release: Release) -> Edit:
    """Edit of a publisher's list: it names the manifest of a release."""
    path = release_path(release.manifest.tool_id, release.version)

    def name(targets: Any) -> None:
        data = release.manifest.encode()
        targets.targets[path] = TargetFile.from_data(path, data, ["sha256"])

    return name


def unsigned(_shelf: SignedShelf) -> MemorySource:
    """T1: no metadata at all."""
    return MemorySource(OLD, NEW)


def bad_signature(shelf: SignedShelf, role: str) -> MemorySource:
    """T2: signatures of a role (``bin``: of that which names NEW) are one digit off."""
    name = shelf.bin_of(NEW) if role == "bin" else role
    source = shelf.source()
    file = file_name(name, None if name == TIMESTAMP else shelf.version(name))
    document = json.loads(source.metadata[file])
    for signature in document["signatures"]:
        signature["sig"] = ("1" if signature["sig"][0] == "0" else "0") + signature["sig"][1:]
    source.metadata[file] = json.dumps(document).encode()
    return source


def unknown_key(shelf: SignedShelf) -> MemorySource:
    """T3: a stranger's key signs another release in NEW's place."""
    shelf.keyring.make("stranger")
    role = shelf.bin_of(NEW)
    shelf.show(role, shelf.forge(role, naming(EVIL), ["stranger"]))
    source = shelf.source()
    source.add(EVIL)
    return source


def threshold_not_met(shelf: SignedShelf) -> MemorySource:
    """T4: one of two owners signs a root."""
    shelf.keyring.make("owner-3")

    def two_of_three(root: Any) -> None:
        for role in (ROOT, TARGETS):
            root.add_key(shelf.keyring.public("owner-3"), role)
            root.roles[role].threshold = 2

    shelf.rotate_root(two_of_three, OWNERS[0])
    return shelf.source()


def same_key_twice(shelf: SignedShelf) -> MemorySource:
    """T5: the signature of one owner stands there twice, where two must sign."""

    def two(root: Any) -> None:
        root.roles[ROOT].threshold = 2

    data = json.loads(shelf.rotate_root(two, OWNERS[0]))
    data["signatures"].append(dict(data["signatures"][0]))
    shelf.put(ROOT, json.dumps(data).encode(), 2)
    return shelf.source()


def duplicate_key_ids(shelf: SignedShelf) -> MemorySource:
    """T6: a root names a key twice."""
    data = json.loads(shelf.loaded(ROOT).to_bytes())
    data["signed"]["version"] = 2
    data["signed"]["roles"][ROOT]["keyids"] *= 2
    shelf.put(ROOT, json.dumps(data).encode(), 2)
    return shelf.source()


def key_of_another_role(shelf: SignedShelf) -> MemorySource:
    """T7: HQ's key signs what a publisher's must."""
    role = shelf.bin_of(NEW)
    shelf.show(role, shelf.forge(role, keys=[ONLINE_KEY]))
    return shelf.source()


def publisher_signs_the_timestamp(shelf: SignedShelf) -> MemorySource:
    """T7: a publisher's key signs what HQ's must."""
    shelf.point([PUBLISHER_KEY])
    return shelf.source()


def revoked_key(shelf: SignedShelf) -> MemorySource:
    """T8: the online key was rotated, and the timestamp is still the old one's."""
    old = shelf.files()[TIMESTAMP_FILE]
    rotate_online_key(shelf)
    source = shelf.source()
    source.metadata[TIMESTAMP_FILE] = old
    return source


def root_rotated_twice(shelf: SignedShelf) -> MemorySource:
    """T9: no lie: two more owners, one root after the other."""
    for number in (3, 4):
        shelf.keyring.make(f"owner-{number}")
        fresh = shelf.keyring.public(f"owner-{number}")
        shelf.rotate_root(lambda root, key=fresh: root.add_key(key, ROOT))  # type: ignore[misc]
    return shelf.source()


def skipped_root_version(shelf: SignedShelf) -> MemorySource:
    """T10: the file of root 2 holds a root 3."""

    def three(root: Any) -> None:
        root.version = 3

    shelf.put(ROOT, shelf.forge(ROOT, three, OWNERS), 2)
    return shelf.source()


def usurped_root(shelf: SignedShelf) -> MemorySource:
    """T11: a root that only the keys it brings have signed."""
    shelf.keyring.make("usurper")

    def usurp(root: Any) -> None:
        for owner in OWNERS:
            root.revoke_key(shelf.keyring.public(owner).keyid, ROOT)
        root.add_key(shelf.keyring.public("usurper"), ROOT)

    shelf.rotate_root(usurp, "usurper")
    return shelf.source()


def expired_root(shelf: SignedShelf) -> MemorySource:
    """T12: the newest root has expired."""
    shelf.rotate_root(expired)
    return shelf.source()


class _EndlessRoots(MemorySource):
    """For every version that is asked for there is a root, well signed."""

    def __init__(self, shelf: SignedShelf) -> None:
        super().__init__(OLD, NEW)
        self.metadata = shelf.files()
        self._shelf = shelf

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        number, _, rest = name.partition(".")
        if rest != "root.json" or number == "1":
            return super().read_metadata(name, max_bytes)

        def numbered(root: Any) -> None:
            root.version = int(number)

        return self._shelf.forge(ROOT, numbered, OWNERS)


def endless_roots(shelf: SignedShelf) -> MemorySource:
    """T13: after each root comes another."""
    return _EndlessRoots(shelf)


def rotate_online_key(shelf: SignedShelf) -> None:
    """What ends T8 and T18: a new online key, and what it signs."""
    shelf.keyring.make("online-2")
    revoked = shelf.keyring.public(ONLINE_KEY).keyid

    def rotate(root: Any) -> None:
        for role in (TIMESTAMP, SNAPSHOT):
            root.revoke_key(revoked, role)
            root.add_key(shelf.keyring.public("online-2"), role)

    shelf.rotate_root(rotate)
    shelf.put(SNAPSHOT, shelf.forge(SNAPSHOT, keys=["online-2"]))
    shelf.point(["online-2"])
