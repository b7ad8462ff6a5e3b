"""Group T, to T13: whose signature counts, and how the root may change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from bitstation import BitStationError, DeltaUpdater
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import (
    ONLINE_KEY,
    OWNERS,
    PUBLISHER_KEY,
    SignedShelf,
    expired,
)
from bitstation.trust.roles import file_name
from tests.attack.trusting import EVIL, NEW, OLD, accepted, refused


def test_what_is_signed_is_installed(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    accepted(pinned, shelf.source())


def test_t01_unsigned(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, MemorySource(NEW), "not-signed")
    later = make_release({"a": b"a"}, "1.2.0")
    refused(pinned, shelf.source(later), "not-signed", "1.2.0")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "hq", "bin"])
def test_t02_bad_signature(
    pinned: DeltaUpdater, shelf: SignedShelf, tmp_path: Path, role: str
) -> None:
    # Another machine, which believes nothing yet but the root: it asks for all of them.
    fresh = DeltaUpdater(tmp_path / "fresh" / TOOL_ID, disk=QuickDisk())
    shelf.pin(fresh.root.path)
    name = shelf.bin_of(NEW) if role == "bin" else role
    source = shelf.source()
    file = file_name(name, None if name == "timestamp" else shelf.version(name))
    document = json.loads(source.metadata[file])
    for signature in document["signatures"]:
        signature["sig"] = ("1" if signature["sig"][0] == "0" else "0") + signature["sig"][1:]
    source.metadata[file] = json.dumps(document).encode()
    with pytest.raises(BitStationError) as caught:
        fresh.update(source, "1.1.0")
    assert caught.value.code == "signature-refused"
    assert not fresh.tree.path.exists()


def test_t03_signature_by_an_unknown_key(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.keyring.make("stranger")
    role = shelf.bin_of(NEW)

    def add_evil(targets: object) -> None:
        path = f"{TOOL_ID}/1.1.0/manifest.json"
        data = EVIL.manifest.encode()
        targets.targets[path] = TargetFile.from_data(path, data, ["sha256"])  # type: ignore[attr-defined]

    shelf.show(role, shelf.forge(role, add_evil, ["stranger"]))
    source = shelf.source()
    source.add(EVIL)
    refused(pinned, source, "signature-refused")


def test_t04_threshold_not_met(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.keyring.make("owner-3")

    def two_of_three(root: object) -> None:
        for role in ("root", "targets"):
            root.add_key(shelf.keyring.public("owner-3"), role)  # type: ignore[attr-defined]
            root.roles[role].threshold = 2  # type: ignore[attr-defined]

    shelf.rotate_root(two_of_three, OWNERS[0])
    refused(pinned, shelf.source(), "signature-refused")


def test_t05_same_key_counted_twice(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    def two(root: object) -> None:
        root.roles["root"].threshold = 2  # type: ignore[attr-defined]

    data = json.loads(shelf.rotate_root(two, OWNERS[0]))
    again = dict(data["signatures"][0])
    data["signatures"].append(again)
    shelf.put("root", json.dumps(data).encode(), 2)
    refused(pinned, shelf.source(), "signature-refused")


def test_t06_duplicate_key_ids(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    def twice(root: object) -> None:
        keyids = root.roles["root"].keyids  # type: ignore[attr-defined]
        keyids.append(keyids[0])

    data = json.loads(shelf.loaded("root").to_bytes())
    data["signed"]["version"] = 2
    data["signed"]["roles"]["root"]["keyids"] *= 2
    shelf.put("root", json.dumps(data).encode(), 2)
    refused(pinned, shelf.source(), "signature-refused")


def test_t07_key_of_another_role(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    role = shelf.bin_of(NEW)
    shelf.show(role, shelf.forge(role, keys=[ONLINE_KEY]))
    refused(pinned, shelf.source(), "signature-refused")


def test_t07_publisher_key_signs_the_timestamp(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.point([PUBLISHER_KEY])
    refused(pinned, shelf.source(), "signature-refused")


def test_t08_revoked_key_after_rotation(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    old = shelf.files()["timestamp.json"]
    shelf.keyring.make("online-2")
    revoked = shelf.keyring.public(ONLINE_KEY).keyid

    def rotate(root: object) -> None:
        for role in ("timestamp", "snapshot"):
            root.revoke_key(revoked, role)  # type: ignore[attr-defined]
            root.add_key(shelf.keyring.public("online-2"), role)  # type: ignore[attr-defined]

    shelf.rotate_root(rotate)
    source = shelf.source()
    source.metadata["timestamp.json"] = old
    refused(pinned, source, "signature-refused")
    shelf.put("snapshot", shelf.forge("snapshot", keys=["online-2"]))
    shelf.point(["online-2"])
    accepted(pinned, shelf.source())


def test_t09_root_rotation_twice(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    for number in (3, 4):
        shelf.keyring.make(f"owner-{number}")
        fresh = shelf.keyring.public(f"owner-{number}")
        shelf.rotate_root(lambda root, key=fresh: root.add_key(key, "root"))  # type: ignore[misc]
    accepted(pinned, shelf.source())


def test_t10_skipped_root_version(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    def three(root: object) -> None:
        root.version = 3  # type: ignore[attr-defined]

    shelf.put("root", shelf.forge("root", three, OWNERS), 2)
    refused(pinned, shelf.source(), "signature-refused")


def test_t11_root_signed_by_new_keys_only(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.keyring.make("usurper")

    def usurp(root: object) -> None:
        for owner in OWNERS:
            root.revoke_key(shelf.keyring.public(owner).keyid, "root")  # type: ignore[attr-defined]
        root.add_key(shelf.keyring.public("usurper"), "root")  # type: ignore[attr-defined]

    shelf.rotate_root(usurp, "usurper")
    refused(pinned, shelf.source(), "signature-refused")


def test_t12_root_expired(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.rotate_root(expired)
    error = refused(pinned, shelf.source(), "metadata-expired")
    assert error.exit_code == 32


def test_t13_endless_root_chain(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    class Endless(MemorySource):
        def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
            number = name.partition(".root")[0]
            if number.isdigit() and name.endswith(".root.json") and int(number) > 1:

                def numbered(root: object) -> None:
                    root.version = int(number)  # type: ignore[attr-defined]

                return shelf.forge("root", numbered, OWNERS)
            return super().read_metadata(name, max_bytes)

    source = Endless(OLD, NEW)
    source.metadata = shelf.files()
    refused(pinned, source, "signature-refused")
