"""Bundles carried to a worker who believes a root: B8 and B9, and what else a stick may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from tuf.api.metadata import Root

from bitstation import DeltaUpdater
from bitstation.errors import SignatureRefused
from bitstation.publisher.bundle import BundleWish, plan_bundle, write_bundle
from bitstation.testing.lies.releases import EVIL, NEW
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.signed import OWNERS, SignedShelf
from bitstation.transport.bundle import BundleSource
from bitstation.transport.source import Source
from bitstation.trust.believed import version_in
from bitstation.trust.pins import Pins
from tests.attack.trusting import accepted, refused


def bundled(tmp_path: Path, source: Source) -> BundleSource:
    """What a stick holds after ``bundle create`` from a source."""
    plan = plan_bundle(source, BundleWish(TOOL_ID, NEW.version))
    return BundleSource(write_bundle(source, plan, tmp_path / "x.bundle")[0])


def test_b8_bundle_of_another_hq(pinned: DeltaUpdater, tmp_path: Path) -> None:
    """All of it is well signed, by keys that this worker does not know."""
    other = SignedShelf(tmp_path / "other")
    other.publish(EVIL)
    refused(pinned, bundled(tmp_path, other.source()), "signature-refused")


def test_b8_bundle_that_nobody_signed(pinned: DeltaUpdater, tmp_path: Path) -> None:
    refused(pinned, bundled(tmp_path, MemorySource(EVIL)), "not-signed")


def test_b8_bundle_of_another_release_under_true_signatures(
    pinned: DeltaUpdater, shelf: SignedShelf, tmp_path: Path
) -> None:
    source = MemorySource(EVIL)
    source.metadata = shelf.files()
    refused(pinned, bundled(tmp_path, source), "signature-refused")


def test_b9_root_rotated_by_a_bundle(
    pinned: DeltaUpdater, shelf: SignedShelf, tmp_path: Path
) -> None:
    """A worker without a network follows two new roots, and what the last one's owner signed."""
    shelf.keyring.make("owner-3")

    def add(root: Root) -> None:
        for role in ("root", "targets"):
            root.add_key(shelf.keyring.public("owner-3"), role)

    def leave(root: Root) -> None:
        root.revoke_key(shelf.keyring.public(OWNERS[0]).keyid, "root")

    shelf.rotate_root(add)
    shelf.rotate_root(leave, "owner-3", *OWNERS)
    accepted(pinned, bundled(tmp_path, shelf.source()))
    kept = Pins(pinned.root.pins).load()
    assert kept is not None
    assert version_in(kept.root) == 3


def test_b9_a_root_that_no_owner_signed(
    pinned: DeltaUpdater, shelf: SignedShelf, tmp_path: Path
) -> None:
    source = shelf.source()
    source.metadata["2.root.json"] = SignedShelf(tmp_path / "other").files()["1.root.json"]
    carried = dict(source.metadata)
    # Made by hand: our own command would not follow it.
    bundle = bundled(tmp_path, shelf.source())
    bundle.read_metadata = lambda name, _max: carried.get(name)  # type: ignore[method-assign]
    refused(pinned, bundle, "signature-refused")


def test_b7_a_bundle_from_before_what_was_seen(
    pinned: DeltaUpdater, shelf: SignedShelf, tmp_path: Path
) -> None:
    """A stick that lay in a drawer shows an old state, as one who holds new ones back would."""
    old = bundled(tmp_path, shelf.source())
    shelf.require(NEW)
    accepted(pinned, shelf.source())
    with pytest.raises(SignatureRefused):
        pinned.update(old)
