"""Group T, from T14 on: old, mixed, foreign and crooked metadata."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from tuf.api.metadata import DelegatedRole, Metadata, MetaFile, Snapshot, Targets

from bitstation import BitStationError, DeltaUpdater
from bitstation.testing.invariants import Invariants
from bitstation.testing.lies import metadata, signers
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.signed import (
    ONLINE_KEY,
    OWNERS,
    SignedShelf,
)
from bitstation.trust.believed import ReadMetadata
from bitstation.trust.pins import Pins
from tests.attack.trusting import NEW, OLD, accepted, refused, sees


def test_t14_timestamp_rollback(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    sees(pinned, shelf.source())
    refused(pinned, metadata.timestamp_rollback(shelf), "signature-refused")


def test_t15_snapshot_rollback(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    sees(pinned, shelf.source())
    refused(pinned, metadata.snapshot_rollback(shelf), "signature-refused")


def test_t16_targets_rollback(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    sees(pinned, metadata.second_targets(shelf))
    refused(pinned, metadata.targets_rollback(shelf), "signature-refused")


def test_t17_same_version_with_other_bytes(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, metadata.same_version_other_bytes(shelf), "release-conflict", "1.0.0")


def test_t18_fast_forward_and_recovery(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    sees(pinned, metadata.fast_forward(shelf))
    refused(pinned, metadata.after_fast_forward(shelf), "signature-refused")
    # New online keys end it: metadata that the old ones signed count no more.
    signers.rotate_online_key(shelf)
    accepted(pinned, shelf.source())


def test_t19_freeze(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """The tool keeps running: what is installed stays whole and eligible."""
    error = refused(pinned, metadata.freeze(shelf), "metadata-expired")
    assert error.exit_code == 32
    assert pinned.verify().damaged == ()
    answer = pinned.get_network_eligibility("1.0.0", OLD.manifest.manifest_hash)
    assert answer == "ELIGIBLE"


def test_t20_mix_and_match(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, metadata.mix_and_match(shelf), "signature-refused")


def test_t21_removed_role_reappears(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """A snapshot that names fewer roles than one before it was not made by an honest HQ."""
    sees(pinned, shelf.source())
    refused(pinned, metadata.removed_role(shelf), "signature-refused")


def test_t22_wrong_tool_with_a_valid_signature(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, metadata.wrong_tool(shelf), "signature-refused")


def test_t22_publisher_of_other_tools(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """Whose key signs 'acme-*' signs nothing of this tool."""
    refused(pinned, metadata.publisher_of_other_tools(shelf), "not-signed")


def test_t23_right_tool_of_another_channel(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """Manifests name no platform or channel: what HQ demands of a channel is signed apart."""
    accepted(pinned, shelf.source())
    source = metadata.requirement_of_another_channel(shelf)
    with pytest.raises(BitStationError) as caught:
        pinned.update(source, "1.0.0")
    assert caught.value.code == "downgrade-refused"


def test_t24_manifest_hash_true_and_a_file_false(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, metadata.false_file(shelf), "digest-mismatch")


def test_t25_files_true_and_manifest_hash_false(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, metadata.false_manifest_hash(shelf), "signature-refused")


def test_t26_mirror_swaps_two_valid_files(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, metadata.swapped_files(shelf), "source-broken")


@pytest.mark.parametrize("what", ["hash", "key", "scheme"])
def test_t27_unknown_algorithm(pinned: DeltaUpdater, shelf: SignedShelf, what: str) -> None:
    refused(pinned, metadata.unknown_algorithm(shelf, what), "signature-refused")


def test_t28_unknown_fields(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    accepted(pinned, metadata.unknown_fields(shelf))


@pytest.mark.parametrize("name", metadata.CROOKED)
def test_t29_json_that_two_readers_read_differently(
    pinned: DeltaUpdater, shelf: SignedShelf, name: str
) -> None:
    refused(pinned, metadata.crooked_json(shelf, name), "signature-refused")


def test_t30_other_bytes_of_equal_json(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """Of metadata the signature covers the canonical form; of manifests every byte counts."""
    refused(pinned, metadata.other_bytes_of_a_manifest(shelf), "signature-refused")
    accepted(pinned, metadata.other_bytes_of_a_timestamp(shelf))


def test_t31_downgrade_by_what_is_latest(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    accepted(pinned, shelf.source())
    invariants = Invariants(pinned.root.path)
    with pytest.raises(BitStationError) as caught:
        pinned.update(metadata.latest_is_old(shelf), "1.0.0")
    assert caught.value.code == "downgrade-refused"
    invariants.check(TOOL_ID, NEW.manifest)
    # HQ's word alone is not enough; its signature is.
    shelf.require(OLD)
    pinned.update(metadata.latest_is_old(shelf), "1.0.0")
    invariants.check(TOOL_ID, OLD.manifest)


def test_t32_a_fully_hostile_hq(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    """It has all of its own keys, and serves whatever it likes under our names."""
    refused(pinned, metadata.stranger(shelf), "signature-refused")
    refused(pinned, metadata.evil_manifest(shelf), "signature-refused")
    refused(pinned, metadata.stranger_with_a_true_timestamp(shelf), "signature-refused")


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
