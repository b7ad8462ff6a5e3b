"""The file of what a machine believes: pinned once, never overwritten by less, never half there."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import msgspec
import pytest

from bitstation import host
from bitstation.core.digest import digest_of
from bitstation.errors import DiskFull, PinConflict, SignatureRefused, StoreCorrupt, StoreLocked
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk
from bitstation.testing.releases import make_release
from bitstation.testing.signed import SignedShelf
from bitstation.trust import pins as pins_module
from bitstation.trust.believed import Believed, version_in
from bitstation.trust.chain import Chain
from bitstation.trust.pins import Pins


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    return SignedShelf(tmp_path / "shelf")


@pytest.fixture
def pins(tmp_path: Path) -> Pins:
    return Pins(tmp_path / "root/.bitstation/trust.json", QuickDisk())


def refreshed(shelf: SignedShelf, believed: Believed) -> Believed:
    chain = Chain(believed, shelf.place.read)
    chain.refresh()
    return chain.believed


# --- pin ------------------------------------------------------------------------------------------


def test_nothing_is_pinned_at_first(pins: Pins) -> None:
    assert pins.load() is None


def test_a_root_is_pinned_and_found_again(pins: Pins, shelf: SignedShelf) -> None:
    root = shelf.place.first_root()
    assert pins.pin(root, source="x") == digest_of(root)
    assert pins.load() == Believed(root)
    # Once more is no conflict.
    assert pins.pin(root, source="x") == digest_of(root)


def test_joining_again_keeps_what_was_learnt(pins: Pins, shelf: SignedShelf) -> None:
    root = shelf.place.first_root()
    pins.pin(root, source="x")
    learnt = refreshed(shelf, Believed(root))
    pins.keep(learnt, Believed(root))
    pins.pin(root, source="x")
    assert pins.load() == learnt


def test_another_root_is_never_pinned_over_the_first(
    pins: Pins, shelf: SignedShelf, tmp_path: Path
) -> None:
    root = shelf.place.first_root()
    pins.pin(root, source="x")
    other = SignedShelf(tmp_path / "other").place.first_root()
    with pytest.raises(PinConflict) as caught:
        pins.pin(other, source="y")
    assert caught.value.fields["offered"] == digest_of(other)
    assert caught.value.fields["known"] == digest_of(root)
    assert pins.load() == Believed(root)


def test_a_fingerprint_must_be_that_of_the_root(pins: Pins, shelf: SignedShelf) -> None:
    root = shelf.place.first_root()
    with pytest.raises(PinConflict):
        pins.pin(root, source="x", fingerprint="0" * 64)
    assert pins.load() is None
    spoken = ":".join(digest_of(root).upper()[at : at + 8] for at in range(0, 64, 8))
    assert pins.pin(root, source="x", fingerprint=spoken) == digest_of(root)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"null", b'{"signed": 1}'])
def test_what_is_no_root_is_not_pinned(pins: Pins, data: bytes) -> None:
    with pytest.raises(SignatureRefused):
        pins.pin(data, source="x")
    assert pins.load() is None


# --- keep -----------------------------------------------------------------------------------------


def test_what_another_run_learnt_is_not_lost(pins: Pins, shelf: SignedShelf) -> None:
    """Two runs began with the same; the one that ends last knows less, and writes nothing."""
    first = Believed(shelf.place.first_root())
    pins.pin(first.root, source="x")
    less = refreshed(shelf, first)
    shelf.publish(make_release({"a": b"1"}, "1.0.0"))
    more = refreshed(shelf, first)
    pins.keep(more, first)
    pins.keep(less, first)
    assert pins.load() == more


def test_a_newer_root_counts_before_a_newer_timestamp(pins: Pins, shelf: SignedShelf) -> None:
    first = Believed(shelf.place.first_root())
    pins.pin(first.root, source="x")
    shelf.rotate_root(lambda _root: None)
    newer = Chain(first, shelf.place.read)
    newer.refresh()
    pins.keep(newer.believed, first)
    assert version_in(newer.believed.root) == 2
    later = Believed(first.root, b'{"signed": {"version": 99}}')
    pins.keep(later, first)
    assert pins.load() == newer.believed


def test_what_did_not_change_is_not_written(pins: Pins, tmp_path: Path) -> None:
    same = Believed(b"{}")
    pins.keep(same, same)
    assert not (tmp_path / "root").exists()


def test_what_was_learnt_stays_where_the_file_is_gone(pins: Pins, shelf: SignedShelf) -> None:
    first = Believed(shelf.place.first_root())
    learnt = refreshed(shelf, first)
    pins.keep(learnt, first)
    assert pins.load() == learnt


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"root": "{}"}', b'{"pins_version": 2, "root": "{}"}', b"\xff\xfe",
     b'{"pins_version": 1, "root": 7}', b'{"pins_version": 1, "root": "{}", "targets": []}'],
)  # fmt: skip
def test_a_damaged_file_is_an_error_and_not_as_if_nothing_were_pinned(
    pins: Pins, tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "root/.bitstation/trust.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt):
        pins.load()
    assert path.read_bytes() == data


def test_a_file_beyond_all_measure_is_not_read(
    pins: Pins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "root/.bitstation/trust.json"
    path.parent.mkdir(parents=True)
    good = json.dumps({"pins_version": 1, "root": "{}"}).encode()
    monkeypatch.setattr(pins_module, "MAX_PINS_BYTES", len(good))
    path.write_bytes(good)
    assert pins.load() == Believed(b"{}")
    path.write_bytes(good + b" ")
    with pytest.raises(StoreCorrupt):
        pins.load()


@pytest.mark.parametrize("holder", ["", "process 1"])
def test_another_process_writes_at_the_moment(
    pins: Pins, shelf: SignedShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: str
) -> None:
    monkeypatch.setattr(pins_module, "_LOCK_WAIT_S", 0.0)
    root = shelf.place.first_root()
    pins.pin(root, source="x")
    path = tmp_path / "root/.bitstation/trust.lock"
    lock = host.FileLock(path)
    assert lock.acquire()
    lock.write_holder(holder)
    try:
        with pytest.raises(StoreLocked) as caught:
            pins.pin(root, source="x")
        assert caught.value.fields["holder"] == (holder or "unknown")
        assert pins.load() == Believed(root)
    finally:
        lock.release()
    pins.pin(root, source="x")


def test_another_process_is_waited_for(
    pins: Pins, shelf: SignedShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shelf.place.first_root()
    pins.pin(root, source="x")
    lock = host.FileLock(tmp_path / "root/.bitstation/trust.lock")
    assert lock.acquire()
    monkeypatch.setattr("time.sleep", lambda _seconds: lock.release())
    assert pins.pin(root, source="x") == digest_of(root)


def test_it_is_written_by_the_disk_that_was_given(tmp_path: Path, shelf: SignedShelf) -> None:
    disk = FaultyDisk(fail_at=1, error=lambda: OSError(errno.ENOSPC, "no space"), fails_on=True)
    with pytest.raises(DiskFull):
        Pins(tmp_path / "full/trust.json", disk).pin(shelf.place.first_root(), source="x")


def test_it_is_written_durably_where_no_disk_is_given(tmp_path: Path, shelf: SignedShelf) -> None:
    pins = Pins(tmp_path / "trust.json")
    pins.pin(shelf.place.first_root(), source="x")
    assert pins.load() is not None


def test_who_writes_leaves_a_note(
    tmp_path: Path, shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Watching(QuickDisk):
        def write_file(self, path: Path, data: bytes, *, private: bool = False) -> None:
            seen.append(host.FileLock(tmp_path / "trust.lock").read_holder())
            super().write_file(path, data, private=private)

    Pins(tmp_path / "trust.json", Watching()).pin(shelf.place.first_root(), source="x")
    assert seen == [f"process {os.getpid()}"]


def test_what_a_release_added_to_what_is_known_is_kept(pins: Pins, shelf: SignedShelf) -> None:
    """The same timestamp, and a list more that was read since."""
    first = Believed(shelf.place.first_root())
    pins.pin(first.root, source="x")
    learnt = refreshed(shelf, first)
    pins.keep(learnt, first)
    more = msgspec.structs.replace(learnt, targets={**learnt.targets, "hq": b"{}"})
    pins.keep(more, first)
    assert pins.load() == more


# --- the version in metadata ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"", None),
        (b"7", None),
        (b"{}", None),
        (b'{"signed": 7}', None),
        (b'{"signed": {}}', None),
        (b'{"signed": {"version": "7"}}', None),
        (b'{"signed": {"version": 7}}', 7),
    ],
)
def test_the_version_of_metadata(data: bytes, version: int | None) -> None:
    assert version_in(data) == version
