"""Group T, from T14 on: old, mixed, foreign and crooked metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import DelegatedRole, Metadata, MetaFile, Snapshot, TargetFile, Targets

from bitstation import BitStationError, DeltaUpdater
from bitstation.core.digest import digest_of
from bitstation.testing.invariants import Invariants
from bitstation.testing.memory_source import MemorySource, other_bytes
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import (
    ONLINE_KEY,
    OWNERS,
    PUBLISHER_KEY,
    SignedShelf,
    expired,
)
from bitstation.trust.believed import ReadMetadata
from bitstation.trust.pins import Pins
from tests.attack.trusting import EVIL, NEW, OLD, accepted, refused


def test_t14_timestamp_rollback(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    old = shelf.files()["timestamp.json"]
    shelf.point()
    with pytest.raises(BitStationError):
        pinned.update(shelf.source(), "9.9.9")
    source = shelf.source()
    source.metadata["timestamp.json"] = old
    refused(pinned, source, "signature-refused")


def test_t15_snapshot_rollback(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    with pytest.raises(BitStationError):
        pinned.update(shelf.source(), "9.9.9")

    def older(timestamp: object) -> None:
        timestamp.snapshot_meta.version = 1  # type: ignore[attr-defined]

    shelf.put("timestamp", shelf.forge("timestamp", older, [ONLINE_KEY]))
    refused(pinned, shelf.source(), "signature-refused")


def test_t16_targets_rollback(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    role = shelf.bin_of(NEW)
    shelf.show(role, shelf.forge(role, keys=[PUBLISHER_KEY]))
    with pytest.raises(BitStationError):
        pinned.update(shelf.source(), "9.9.9")

    def older(snapshot: object) -> None:
        snapshot.meta[f"{role}.json"].version = 1  # type: ignore[attr-defined]

    shelf.put("snapshot", shelf.forge("snapshot", older, [ONLINE_KEY]))
    shelf.point()
    refused(pinned, shelf.source(), "signature-refused")


def test_t17_same_version_with_other_bytes(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
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
    refused(pinned, source, "release-conflict", "1.0.0")


def test_t18_fast_forward_and_recovery(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    def far(signed: object) -> None:
        signed.version = 2**53 - 2  # type: ignore[attr-defined]

    honest = shelf.files()
    shelf.put("timestamp", shelf.forge("timestamp", far, [ONLINE_KEY]))
    with pytest.raises(BitStationError):
        pinned.update(shelf.source(), "9.9.9")
    for name, data in honest.items():
        (shelf.place.folder / name).write_bytes(data)
    refused(pinned, shelf.source(), "signature-refused")
    # New online keys end it: metadata that the old ones signed count no more.
    shelf.keyring.make("online-2")

    def rotate(root: object) -> None:
        for role in ("timestamp", "snapshot"):
            root.revoke_key(shelf.keyring.public(ONLINE_KEY).keyid, role)  # type: ignore[attr-defined]
            root.add_key(shelf.keyring.public("online-2"), role)  # type: ignore[attr-defined]

    shelf.rotate_root(rotate)
    shelf.put("snapshot", shelf.forge("snapshot", keys=["online-2"]))
    shelf.point(["online-2"])
    accepted(pinned, shelf.source())


def test_t19_freeze(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """The tool keeps running: what is installed stays whole and eligible."""
    shelf.put("timestamp", shelf.forge("timestamp", expired, [ONLINE_KEY]))
    error = refused(pinned, shelf.source(), "metadata-expired")
    assert error.exit_code == 32
    assert pinned.verify().damaged == ()
    answer = pinned.get_network_eligibility("1.0.0", OLD.manifest.manifest_hash)
    assert answer == "ELIGIBLE"


def test_t20_mix_and_match(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    role = shelf.bin_of(NEW)
    before = shelf.files()
    shelf.show(role, shelf.forge(role, keys=[PUBLISHER_KEY]))
    newest = shelf.version(role)
    source = shelf.source()
    source.metadata[f"{newest}.{role}.json"] = before[f"{newest - 1}.{role}.json"]
    refused(pinned, source, "signature-refused")


def test_t21_removed_role_reappears(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """A snapshot that names fewer roles than one before it was not made by an honest HQ."""
    with pytest.raises(BitStationError):
        pinned.update(shelf.source(), "9.9.9")

    def fewer(snapshot: object) -> None:
        del snapshot.meta["requirements.json"]  # type: ignore[attr-defined]

    shelf.put("snapshot", shelf.forge("snapshot", fewer, [ONLINE_KEY]))
    shelf.point()
    refused(pinned, shelf.source(), "signature-refused")


def test_t22_wrong_tool_with_a_valid_signature(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    other = make_release({"run.py": b"print('other tool')"}, "1.1.0", tool_id="other-tool")
    shelf.publish(other)
    source = shelf.source()
    source.offer_bytes(TOOL_ID, "1.1.0", other.manifest.encode())
    refused(pinned, source, "signature-refused")


def test_t22_publisher_of_other_tools(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """Whose key signs 'acme-*' signs nothing of this tool."""

    def only_acme(targets: object) -> None:
        roles = targets.delegations.roles  # type: ignore[attr-defined]
        roles["hq"] = DelegatedRole(
            "hq", roles["hq"].keyids, 1, terminating=True, paths=["acme-*/*/manifest.json"]
        )

    shelf.show("targets", shelf.forge("targets", only_acme, OWNERS))
    refused(pinned, shelf.source(), "not-signed")


def test_t23_right_tool_of_another_channel(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """Manifests name no platform or channel: what HQ demands of a channel is signed apart."""
    accepted(pinned, shelf.source())
    shelf.require(NEW, "beta")
    source = shelf.source()
    source.required.add("1.0.0")
    with pytest.raises(BitStationError) as caught:
        pinned.update(source, "1.0.0")
    assert caught.value.code == "downgrade-refused"


def test_t24_manifest_hash_true_and_a_file_false(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    source = shelf.source()
    source.lie(digest_of(b"print('new')"), other_bytes)
    refused(pinned, source, "digest-mismatch")


def test_t25_files_true_and_manifest_hash_false(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    source = shelf.source()
    document = json.loads(NEW.manifest.encode())
    document["manifest_hash"] = "0" * 64
    source.offer_bytes(TOOL_ID, "1.1.0", json.dumps(document).encode())
    refused(pinned, source, "signature-refused")


def test_t26_mirror_swaps_two_valid_files(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    source = shelf.source()
    source.lie(digest_of(b"print('new')"), lambda _data: b"same")
    refused(pinned, source, "source-broken")


@pytest.mark.parametrize("what", ["hash", "key", "scheme"])
def test_t27_unknown_algorithm(pinned: DeltaUpdater, shelf: SignedShelf, what: str) -> None:
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
    refused(pinned, shelf.source(), "signature-refused")


def test_t28_unknown_fields(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    role = shelf.bin_of(NEW)

    def more(targets: object) -> None:
        targets.unrecognized_fields["x-later"] = {"a": 1}  # type: ignore[attr-defined]

    shelf.show(role, shelf.forge(role, more, [PUBLISHER_KEY]))
    accepted(pinned, shelf.source())


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
    pinned: DeltaUpdater, shelf: SignedShelf, spoil: Callable[[bytes], bytes]
) -> None:
    source = shelf.source()
    source.metadata["timestamp.json"] = spoil(source.metadata["timestamp.json"])
    refused(pinned, source, "signature-refused")


def test_t30_other_bytes_of_equal_json(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """Of metadata the signature covers the canonical form; of manifests every byte counts."""
    source = shelf.source()
    document = json.loads(NEW.manifest.encode())
    source.offer_bytes(TOOL_ID, "1.1.0", json.dumps(document).encode())
    refused(pinned, source, "signature-refused")
    source = shelf.source()
    pretty = json.loads(source.metadata["timestamp.json"])
    source.metadata["timestamp.json"] = json.dumps(pretty, indent=1).encode()
    accepted(pinned, source)


def test_t31_downgrade_by_what_is_latest(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    accepted(pinned, shelf.source())
    source = shelf.source()
    source.required.add("1.0.0")
    invariants = Invariants(pinned.root.path)
    with pytest.raises(BitStationError) as caught:
        pinned.update(source, "1.0.0")
    assert caught.value.code == "downgrade-refused"
    invariants.check(TOOL_ID, NEW.manifest)
    # HQ's word alone is not enough; its signature is.
    shelf.require(OLD)
    source = shelf.source()
    source.required.add("1.0.0")
    pinned.update(source, "1.0.0")
    invariants.check(TOOL_ID, OLD.manifest)


def test_t32_a_fully_hostile_hq(pinned: DeltaUpdater, shelf: SignedShelf, tmp_path: Path) -> None:
    """It has all of its own keys, and serves whatever it likes under our names."""
    hostile = SignedShelf(tmp_path / "hostile")
    hostile.publish(EVIL)
    refused(pinned, hostile.source(), "signature-refused")
    source = shelf.source()
    source.add(EVIL)
    refused(pinned, source, "signature-refused")
    mixed = hostile.source()
    mixed.metadata = {**hostile.files(), **{"timestamp.json": shelf.files()["timestamp.json"]}}
    refused(pinned, mixed, "signature-refused")


def test_what_was_learnt_before_a_failure_protects_the_next_run(
    pinned: DeltaUpdater, shelf: SignedShelf
) -> None:
    shelf.moment += timedelta(days=2)
    assert shelf.place.renew()
    source = shelf.source()
    del source.metadata[f"{shelf.version('snapshot')}.snapshot.json"]
    refused(pinned, source, "signature-refused")
    kept = Pins(pinned.root.pins).load()
    assert kept is not None
    assert Metadata.from_bytes(kept.timestamp).signed.version == shelf.version("timestamp")


@pytest.mark.parametrize("name", ["../../../pins", "C:\\pins", "?", "é" * 40, "x" * 300])
def test_a_role_whose_name_is_no_file_name(
    pinned: DeltaUpdater, shelf: SignedShelf, name: str
) -> None:
    """It is asked for under a name that is a file's everywhere, or not at all."""

    def delegate(targets: Targets) -> None:
        assert targets.delegations is not None
        assert targets.delegations.roles is not None
        roles = targets.delegations.roles
        odd = DelegatedRole(name, next(iter(roles.values())).keyids, 1, True, paths=["*/*/*"])
        targets.delegations.roles = {name: odd, **roles}

    def naming(snapshot: Snapshot) -> None:
        snapshot.meta[f"{name}.json"] = MetaFile(1)

    shelf.publish(NEW)
    targets = shelf.forge("targets", delegate, OWNERS)
    shelf.show("targets", targets)
    shelf.put("snapshot", shelf.forge("snapshot", naming, [ONLINE_KEY]))
    shelf.point()
    source = shelf.source()
    asked: list[str] = []
    source.read_metadata = noting(source, asked)  # type: ignore[method-assign]
    refused(pinned, source, "signature-refused")
    assert asked
    assert all(re.fullmatch(r"[0-9a-z][\w.%-]*", each, re.ASCII) for each in asked), asked


def noting(source: MemorySource, asked: list[str]) -> ReadMetadata:
    read = source.read_metadata

    def note(file: str, max_bytes: int) -> bytes | None:
        asked.append(file)
        return read(file, max_bytes)

    return note
