"""Group T: attacks on trust, at a worker that has pinned a root and holds a release."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import DelegatedRole, Metadata, TargetFile

from bitstation import BitStationError, DeltaUpdater
from bitstation.core.digest import digest_of
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import Invariants
from bitstation.testing.memory_source import MemorySource, other_bytes
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.testing.signed import (
    ONLINE_KEY,
    OWNERS,
    PUBLISHER_KEY,
    SignedShelf,
    expired,
)
from bitstation.transport.source import Source
from bitstation.trust.pins import Pins
from bitstation.trust.roles import file_name

OLD = make_release({"run.py": b"print('old')", "same": b"same"}, "1.0.0")
NEW = make_release({"run.py": b"print('new')", "same": b"same"}, "1.1.0")
EVIL = make_release({"run.py": b"print('evil')", "same": b"same"}, "1.1.0")


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    return SignedShelf(tmp_path / "shelf")


@pytest.fixture
def worker(tmp_path: Path, shelf: SignedShelf) -> DeltaUpdater:
    """It has pinned the root and installed OLD; NEW is published."""
    shelf.pin(tmp_path / "tools")
    updater = DeltaUpdater(tmp_path / "tools" / TOOL_ID, disk=QuickDisk())
    shelf.publish(OLD)
    updater.update(shelf.source())
    shelf.publish(NEW)
    return updater


def refused(
    worker: DeltaUpdater, source: Source, code: str, version: str | None = "1.1.0"
) -> BitStationError:
    """The update is refused, and what was there is there as it was."""
    invariants = Invariants(worker.root.path)
    pins = Pins(worker.root.pins).load()
    with pytest.raises(BitStationError) as caught:
        worker.update(source, version)
    assert caught.value.code == code, caught.value
    invariants.check(TOOL_ID, OLD.manifest)
    kept = Pins(worker.root.pins).load()
    assert pins is not None
    assert kept is not None
    assert _versions(kept.timestamp) >= _versions(pins.timestamp)
    return caught.value


def _versions(data: bytes) -> int:
    return int(json.loads(data)["signed"]["version"])


def accepted(worker: DeltaUpdater, source: Source, release: Release = NEW) -> None:
    worker.update(source, release.version)
    Invariants(worker.root.path).check(TOOL_ID, release.manifest)


def test_what_is_signed_is_installed(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    accepted(worker, shelf.source())


def test_t01_unsigned(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(worker, MemorySource(NEW), "not-signed")
    later = make_release({"a": b"a"}, "1.2.0")
    refused(worker, shelf.source(later), "not-signed", "1.2.0")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "hq", "bin"])
def test_t02_bad_signature(
    worker: DeltaUpdater, shelf: SignedShelf, tmp_path: Path, role: str
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


def test_t03_signature_by_an_unknown_key(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.keyring.make("stranger")
    role = shelf.bin_of(NEW)

    def add_evil(targets: object) -> None:
        path = f"{TOOL_ID}/1.1.0/manifest.json"
        data = EVIL.manifest.encode()
        targets.targets[path] = TargetFile.from_data(path, data, ["sha256"])  # type: ignore[attr-defined]

    shelf.show(role, shelf.forge(role, add_evil, ["stranger"]))
    source = shelf.source()
    source.add(EVIL)
    refused(worker, source, "signature-refused")


def test_t04_threshold_not_met(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.keyring.make("owner-3")

    def two_of_three(root: object) -> None:
        for role in ("root", "targets"):
            root.add_key(shelf.keyring.public("owner-3"), role)  # type: ignore[attr-defined]
            root.roles[role].threshold = 2  # type: ignore[attr-defined]

    shelf.rotate_root(two_of_three, OWNERS[0])
    refused(worker, shelf.source(), "signature-refused")


def test_t05_same_key_counted_twice(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    def two(root: object) -> None:
        root.roles["root"].threshold = 2  # type: ignore[attr-defined]

    data = json.loads(shelf.rotate_root(two, OWNERS[0]))
    again = dict(data["signatures"][0])
    data["signatures"].append(again)
    shelf.put("root", json.dumps(data).encode(), 2)
    refused(worker, shelf.source(), "signature-refused")


def test_t06_duplicate_key_ids(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    def twice(root: object) -> None:
        keyids = root.roles["root"].keyids  # type: ignore[attr-defined]
        keyids.append(keyids[0])

    data = json.loads(shelf.loaded("root").to_bytes())
    data["signed"]["version"] = 2
    data["signed"]["roles"]["root"]["keyids"] *= 2
    shelf.put("root", json.dumps(data).encode(), 2)
    refused(worker, shelf.source(), "signature-refused")


def test_t07_key_of_another_role(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    role = shelf.bin_of(NEW)
    shelf.show(role, shelf.forge(role, keys=[ONLINE_KEY]))
    refused(worker, shelf.source(), "signature-refused")


def test_t07_publisher_key_signs_the_timestamp(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.point([PUBLISHER_KEY])
    refused(worker, shelf.source(), "signature-refused")


def test_t08_revoked_key_after_rotation(worker: DeltaUpdater, shelf: SignedShelf) -> None:
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
    refused(worker, source, "signature-refused")
    shelf.put("snapshot", shelf.forge("snapshot", keys=["online-2"]))
    shelf.point(["online-2"])
    accepted(worker, shelf.source())


def test_t09_root_rotation_twice(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    for number in (3, 4):
        shelf.keyring.make(f"owner-{number}")
        fresh = shelf.keyring.public(f"owner-{number}")
        shelf.rotate_root(lambda root, key=fresh: root.add_key(key, "root"))  # type: ignore[misc]
    accepted(worker, shelf.source())


def test_t10_skipped_root_version(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    def three(root: object) -> None:
        root.version = 3  # type: ignore[attr-defined]

    shelf.put("root", shelf.forge("root", three, OWNERS), 2)
    refused(worker, shelf.source(), "signature-refused")


def test_t11_root_signed_by_new_keys_only(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.keyring.make("usurper")

    def usurp(root: object) -> None:
        for owner in OWNERS:
            root.revoke_key(shelf.keyring.public(owner).keyid, "root")  # type: ignore[attr-defined]
        root.add_key(shelf.keyring.public("usurper"), "root")  # type: ignore[attr-defined]

    shelf.rotate_root(usurp, "usurper")
    refused(worker, shelf.source(), "signature-refused")


def test_t12_root_expired(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    shelf.rotate_root(expired)
    error = refused(worker, shelf.source(), "metadata-expired")
    assert error.exit_code == 32


def test_t13_endless_root_chain(worker: DeltaUpdater, shelf: SignedShelf) -> None:
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
    refused(worker, source, "signature-refused")


def test_t14_timestamp_rollback(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    old = shelf.files()["timestamp.json"]
    shelf.point()
    with pytest.raises(BitStationError):
        worker.update(shelf.source(), "9.9.9")
    source = shelf.source()
    source.metadata["timestamp.json"] = old
    refused(worker, source, "signature-refused")


def test_t15_snapshot_rollback(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    with pytest.raises(BitStationError):
        worker.update(shelf.source(), "9.9.9")

    def older(timestamp: object) -> None:
        timestamp.snapshot_meta.version = 1  # type: ignore[attr-defined]

    shelf.put("timestamp", shelf.forge("timestamp", older, [ONLINE_KEY]))
    refused(worker, shelf.source(), "signature-refused")


def test_t16_targets_rollback(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    role = shelf.bin_of(NEW)
    shelf.show(role, shelf.forge(role, keys=[PUBLISHER_KEY]))
    with pytest.raises(BitStationError):
        worker.update(shelf.source(), "9.9.9")

    def older(snapshot: object) -> None:
        snapshot.meta[f"{role}.json"].version = 1  # type: ignore[attr-defined]

    shelf.put("snapshot", shelf.forge("snapshot", older, [ONLINE_KEY]))
    shelf.point()
    refused(worker, shelf.source(), "signature-refused")


def test_t17_same_version_with_other_bytes(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    """A publisher who signs another manifest under a version that is installed."""
    role = shelf.bin_of(OLD)
    other = make_release({"run.py": b"print('other')"}, "1.0.0")
    path = f"{TOOL_ID}/1.0.0/manifest.json"

    def replace(targets: object) -> None:
        data = other.manifest.encode()
        targets.targets[path] = TargetFile.from_data(path, data, ["sha256"])  # type: ignore[attr-defined]

    shelf.show(role, shelf.forge(role, replace, [PUBLISHER_KEY]))
    source = shelf.source()
    source.add(other)
    refused(worker, source, "release-conflict", "1.0.0")


def test_t18_fast_forward_and_recovery(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    def far(signed: object) -> None:
        signed.version = 2**53 - 2  # type: ignore[attr-defined]

    honest = shelf.files()
    shelf.put("timestamp", shelf.forge("timestamp", far, [ONLINE_KEY]))
    with pytest.raises(BitStationError):
        worker.update(shelf.source(), "9.9.9")
    for name, data in honest.items():
        (shelf.place.folder / name).write_bytes(data)
    refused(worker, shelf.source(), "signature-refused")
    # New online keys end it: metadata that the old ones signed count no more.
    shelf.keyring.make("online-2")

    def rotate(root: object) -> None:
        for role in ("timestamp", "snapshot"):
            root.revoke_key(shelf.keyring.public(ONLINE_KEY).keyid, role)  # type: ignore[attr-defined]
            root.add_key(shelf.keyring.public("online-2"), role)  # type: ignore[attr-defined]

    shelf.rotate_root(rotate)
    shelf.put("snapshot", shelf.forge("snapshot", keys=["online-2"]))
    shelf.point(["online-2"])
    accepted(worker, shelf.source())


def test_t19_freeze(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    """The tool keeps running: what is installed stays whole and eligible."""
    shelf.put("timestamp", shelf.forge("timestamp", expired, [ONLINE_KEY]))
    error = refused(worker, shelf.source(), "metadata-expired")
    assert error.exit_code == 32
    assert worker.verify().damaged == ()
    answer = worker.get_network_eligibility("1.0.0", OLD.manifest.manifest_hash)
    assert answer == "ELIGIBLE"


def test_t20_mix_and_match(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    role = shelf.bin_of(NEW)
    before = shelf.files()
    shelf.show(role, shelf.forge(role, keys=[PUBLISHER_KEY]))
    newest = shelf.version(role)
    source = shelf.source()
    source.metadata[f"{newest}.{role}.json"] = before[f"{newest - 1}.{role}.json"]
    refused(worker, source, "signature-refused")


def test_t21_removed_role_reappears(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    """A snapshot that names fewer roles than one before it was not made by an honest HQ."""
    with pytest.raises(BitStationError):
        worker.update(shelf.source(), "9.9.9")

    def fewer(snapshot: object) -> None:
        del snapshot.meta["requirements.json"]  # type: ignore[attr-defined]

    shelf.put("snapshot", shelf.forge("snapshot", fewer, [ONLINE_KEY]))
    shelf.point()
    refused(worker, shelf.source(), "signature-refused")


def test_t22_wrong_tool_with_a_valid_signature(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    other = make_release({"run.py": b"print('other tool')"}, "1.1.0", tool_id="other-tool")
    shelf.publish(other)
    source = shelf.source()
    source.offer_bytes(TOOL_ID, "1.1.0", other.manifest.encode())
    refused(worker, source, "signature-refused")


def test_t22_publisher_of_other_tools(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    """Whose key signs 'acme-*' signs nothing of this tool."""

    def only_acme(targets: object) -> None:
        roles = targets.delegations.roles  # type: ignore[attr-defined]
        roles["hq"] = DelegatedRole(
            "hq", roles["hq"].keyids, 1, terminating=True, paths=["acme-*/*/manifest.json"]
        )

    shelf.show("targets", shelf.forge("targets", only_acme, OWNERS))
    refused(worker, shelf.source(), "not-signed")


def test_t23_right_tool_of_another_channel(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    """Manifests name no platform or channel: what HQ demands of a channel is signed apart."""
    accepted(worker, shelf.source())
    shelf.require(NEW, "beta")
    source = shelf.source()
    source.required.add("1.0.0")
    with pytest.raises(BitStationError) as caught:
        worker.update(source, "1.0.0")
    assert caught.value.code == "downgrade-refused"


def test_t24_manifest_hash_true_and_a_file_false(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    source = shelf.source()
    source.lie(digest_of(b"print('new')"), other_bytes)
    refused(worker, source, "digest-mismatch")


def test_t25_files_true_and_manifest_hash_false(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    source = shelf.source()
    document = json.loads(NEW.manifest.encode())
    document["manifest_hash"] = "0" * 64
    source.offer_bytes(TOOL_ID, "1.1.0", json.dumps(document).encode())
    refused(worker, source, "signature-refused")


def test_t26_mirror_swaps_two_valid_files(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    source = shelf.source()
    source.lie(digest_of(b"print('new')"), lambda _data: b"same")
    refused(worker, source, "source-broken")


@pytest.mark.parametrize("what", ["hash", "key", "scheme"])
def test_t27_unknown_algorithm(worker: DeltaUpdater, shelf: SignedShelf, what: str) -> None:
    role = shelf.bin_of(NEW)

    def unknown(signed: object) -> None:
        if what == "hash":
            for target in signed.targets.values():  # type: ignore[attr-defined]
                target.hashes = {"md4": "0" * 32}

    if what == "hash":
        shelf.show(role, shelf.forge(role, unknown, [PUBLISHER_KEY]))
    else:
        data = json.loads(shelf.rotate_root(lambda _root: None))
        for key in data["signed"]["keys"].values():
            key["keytype" if what == "key" else "scheme"] = "rot13"
        shelf.put("root", json.dumps(data).encode(), 2)
    refused(worker, shelf.source(), "signature-refused")


def test_t28_unknown_fields(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    role = shelf.bin_of(NEW)

    def more(targets: object) -> None:
        targets.unrecognized_fields["x-later"] = {"a": 1}  # type: ignore[attr-defined]

    shelf.show(role, shelf.forge(role, more, [PUBLISHER_KEY]))
    accepted(worker, shelf.source())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(b'"version":', b'"version":1,"version":', 1),
        lambda text: text.replace(b'"version":', b'"x":NaN,"version":', 1),
        lambda text: text.replace(b'"version":', b'"x":1e400,"version":', 1),
        lambda text: text.replace(b'"version":', b'"x":1.5,"version":', 1),
        lambda text: text.replace(b'"version":', b'"x":"\\ud800","version":', 1),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"[" * 5000 + text,
        lambda _text: b"",
        lambda _text: b"[]",
        lambda _text: b'{"signed":{},"signatures":[]}',
    ],
    ids=[
        "twice",
        "nan",
        "overflow",
        "float",
        "surrogate",
        "bom",
        "deep",
        "empty",
        "list",
        "hollow",
    ],
)
def test_t29_json_that_two_readers_read_differently(
    worker: DeltaUpdater, shelf: SignedShelf, spoil: Callable[[bytes], bytes]
) -> None:
    source = shelf.source()
    source.metadata["timestamp.json"] = spoil(source.metadata["timestamp.json"])
    refused(worker, source, "signature-refused")


def test_t30_other_bytes_of_equal_json(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    """Of metadata the signature covers the canonical form; of manifests every byte counts."""
    source = shelf.source()
    document = json.loads(NEW.manifest.encode())
    source.offer_bytes(TOOL_ID, "1.1.0", json.dumps(document).encode())
    refused(worker, source, "signature-refused")
    source = shelf.source()
    pretty = json.loads(source.metadata["timestamp.json"])
    source.metadata["timestamp.json"] = json.dumps(pretty, indent=1).encode()
    accepted(worker, source)


def test_t31_downgrade_by_what_is_latest(worker: DeltaUpdater, shelf: SignedShelf) -> None:
    accepted(worker, shelf.source())
    source = shelf.source()
    source.required.add("1.0.0")
    invariants = Invariants(worker.root.path)
    with pytest.raises(BitStationError) as caught:
        worker.update(source, "1.0.0")
    assert caught.value.code == "downgrade-refused"
    invariants.check(TOOL_ID, NEW.manifest)
    # HQ's word alone is not enough; its signature is.
    shelf.require(OLD)
    source = shelf.source()
    source.required.add("1.0.0")
    worker.update(source, "1.0.0")
    invariants.check(TOOL_ID, OLD.manifest)


def test_t32_a_fully_hostile_hq(worker: DeltaUpdater, shelf: SignedShelf, tmp_path: Path) -> None:
    """It has all of its own keys, and serves whatever it likes under our names."""
    hostile = SignedShelf(tmp_path / "hostile")
    hostile.publish(EVIL)
    refused(worker, hostile.source(), "signature-refused")
    source = shelf.source()
    source.add(EVIL)
    refused(worker, source, "signature-refused")
    mixed = hostile.source()
    mixed.metadata = {**hostile.files(), **{"timestamp.json": shelf.files()["timestamp.json"]}}
    refused(worker, mixed, "signature-refused")


def test_what_was_learnt_before_a_failure_protects_the_next_run(
    worker: DeltaUpdater, shelf: SignedShelf
) -> None:
    shelf.moment += timedelta(days=2)
    assert shelf.place.renew()
    source = shelf.source()
    del source.metadata[f"{shelf.version('snapshot')}.snapshot.json"]
    refused(worker, source, "signature-refused")
    kept = Pins(worker.root.pins).load()
    assert kept is not None
    assert Metadata.from_bytes(kept.timestamp).signed.version == shelf.version("timestamp")
