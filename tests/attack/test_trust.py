"""Group T, to T13: whose signature counts, and how the root may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitstation import BitStationError, DeltaUpdater
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.lies import signers
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import SignedShelf
from tests.attack.trusting import accepted, refused


def test_what_is_signed_is_installed(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    accepted(pinned, shelf.source())


def test_t01_unsigned(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.unsigned(shelf), "not-signed")
    later = make_release({"a": b"a"}, "1.2.0")
    refused(pinned, shelf.source(later), "not-signed", "1.2.0")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "hq", "bin"])
def test_t02_bad_signature(
    pinned: DeltaUpdater, shelf: SignedShelf, tmp_path: Path, role: str
) -> None:
    # Another machine, which believes nothing yet but the root: it asks for all of them.
    fresh = DeltaUpdater(tmp_path / "fresh" / TOOL_ID, disk=QuickDisk())
    shelf.pin(fresh.root.path)
    with pytest.raises(BitStationError) as caught:
        fresh.update(signers.bad_signature(shelf, role), "1.1.0")
    assert caught.value.code == "signature-refused"
    assert not fresh.tree.path.exists()


def test_t03_signature_by_an_unknown_key(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.unknown_key(shelf), "signature-refused")


def test_t04_threshold_not_met(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.threshold_not_met(shelf), "signature-refused")


def test_t05_same_key_counted_twice(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.same_key_twice(shelf), "signature-refused")


def test_t06_duplicate_key_ids(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.duplicate_key_ids(shelf), "signature-refused")


def test_t07_key_of_another_role(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.key_of_another_role(shelf), "signature-refused")


def test_t07_publisher_key_signs_the_timestamp(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.publisher_signs_the_timestamp(shelf), "signature-refused")


def test_t08_revoked_key_after_rotation(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.revoked_key(shelf), "signature-refused")
    accepted(pinned, shelf.source())


def test_t09_root_rotation_twice(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    accepted(pinned, signers.root_rotated_twice(shelf))


def test_t10_skipped_root_version(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.skipped_root_version(shelf), "signature-refused")


def test_t11_root_signed_by_new_keys_only(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.usurped_root(shelf), "signature-refused")


def test_t12_root_expired(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    error = refused(pinned, signers.expired_root(shelf), "metadata-expired")
    assert error.exit_code == 32


def test_t13_endless_root_chain(pinned: DeltaUpdater, shelf: SignedShelf) -> None:
    refused(pinned, signers.endless_roots(shelf), "signature-refused")
