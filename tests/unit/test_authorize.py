"""The one question before an install: each ground on which a release is allowed, each refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from tuf.api.metadata import Targets

from bitstation.codec.zstd import compress
from bitstation.errors import NotPinned, NotSigned, SignatureRefused
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import PUBLISHER_KEY, SignedShelf
from bitstation.trust.authorize import Authority, Grounds, reading
from bitstation.trust.pins import Pins
from bitstation.trust.roles import release_path

RELEASE = make_release({"a": b"1"}, "1.0.0")
MANIFEST = RELEASE.manifest.encode()
HASH = RELEASE.manifest.manifest_hash


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    shelf = SignedShelf(tmp_path / "shelf")
    shelf.publish(RELEASE)
    return shelf


@pytest.fixture
def pins(tmp_path: Path) -> Pins:
    return Pins(tmp_path / "trust.json", QuickDisk())


@pytest.fixture
def pinned(pins: Pins, shelf: SignedShelf) -> Pins:
    pins.pin(shelf.place.first_root(), source="the shelf")
    return pins


def authority(pins: Pins, source: MemorySource, **options: bool) -> Authority:
    return Authority(pins, source, root="here", **options)


def vetted(pins: Pins, source: MemorySource, **options: bool) -> Authority:
    asked = authority(pins, source, **options)
    asked.prepare()
    asked.vet(TOOL_ID, "1.0.0", MANIFEST)
    return asked


# --- nothing is pinned ------------------------------------------------------------------------


def test_without_a_root_nothing_is_allowed(pins: Pins) -> None:
    asked = authority(pins, MemorySource(RELEASE))
    assert not asked.is_pinned
    with pytest.raises(NotPinned) as caught:
        asked.prepare()
    assert caught.value.fields["root"] == "here"


@pytest.mark.parametrize(
    ("options", "grounds"),
    [
        ({"allow_unsigned": True}, Grounds.UNSIGNED),
        ({"is_given": True}, Grounds.CALLER),
        ({"allow_unsigned": True, "is_given": True}, Grounds.UNSIGNED),
    ],
)
def test_without_a_root_somebody_must_say_so(
    pins: Pins, options: dict[str, bool], grounds: Grounds
) -> None:
    asked = vetted(pins, MemorySource(RELEASE), **options)
    assert (asked.grounds, asked.signer) == (grounds, "")
    assert asked.confirms_requirement(TOOL_ID, "1.0.0", HASH)
    assert pins.load() is None


# --- a root is pinned ---------------------------------------------------------------------------


def test_a_signed_release_is_allowed(pinned: Pins, shelf: SignedShelf) -> None:
    asked = vetted(pinned, shelf.source())
    assert asked.is_pinned
    assert (asked.grounds, asked.signer) == (Grounds.SIGNED, "hq")


def test_that_a_program_gave_the_manifest_counts_for_nothing(
    pinned: Pins, shelf: SignedShelf
) -> None:
    unsigned = make_release({"a": b"2"}, "2.0.0")
    asked = authority(pinned, shelf.source(unsigned), is_given=True)
    asked.prepare()
    with pytest.raises(NotSigned):
        asked.vet(TOOL_ID, "2.0.0", unsigned.manifest.encode())


def test_a_source_without_metadata(pinned: Pins) -> None:
    source = MemorySource(RELEASE)
    with pytest.raises(NotSigned):
        authority(pinned, source).prepare()
    asked = vetted(pinned, source, allow_unsigned=True)
    assert (asked.grounds, asked.signer) == (Grounds.UNSIGNED, "")
    assert not asked.confirms_requirement(TOOL_ID, "1.0.0", HASH)


def test_a_release_that_nobody_signed(pinned: Pins, shelf: SignedShelf) -> None:
    unsigned = make_release({"a": b"2"}, "2.0.0")
    source, manifest = shelf.source(unsigned), unsigned.manifest.encode()
    asked = authority(pinned, source)
    asked.prepare()
    with pytest.raises(NotSigned, match=r"2\.0\.0"):
        asked.vet(TOOL_ID, "2.0.0", manifest)
    allowing = authority(pinned, source, allow_unsigned=True)
    allowing.prepare()
    allowing.vet(TOOL_ID, "2.0.0", manifest)
    assert (allowing.grounds, allowing.signer) == (Grounds.UNSIGNED, "")


@pytest.mark.parametrize("allow_unsigned", [False, True])
def test_another_manifest_than_the_signed_one(
    pinned: Pins, shelf: SignedShelf, allow_unsigned: bool
) -> None:
    asked = authority(pinned, shelf.source(), allow_unsigned=allow_unsigned)
    asked.prepare()
    with pytest.raises(SignatureRefused):
        asked.vet(TOOL_ID, "1.0.0", MANIFEST + b" ")
    with pytest.raises(SignatureRefused):
        asked.vet(TOOL_ID, "1.0.0", MANIFEST.swapcase())
    assert asked.signer == ""


def test_a_signed_length_that_is_false(pinned: Pins, shelf: SignedShelf) -> None:
    def longer(targets: Targets) -> None:
        targets.targets[release_path(TOOL_ID, "1.0.0")].length += 1

    role = shelf.bin_of(RELEASE)
    shelf.show(role, shelf.forge(role, longer, [PUBLISHER_KEY]))
    with pytest.raises(SignatureRefused):
        vetted(pinned, shelf.source())


def test_what_was_learnt_is_kept_at_once(pinned: Pins, shelf: SignedShelf) -> None:
    shelf.require(RELEASE)
    asked = authority(pinned, shelf.source())
    asked.prepare()
    kept = pinned.load()
    assert kept is not None
    assert kept.timestamp == shelf.files()["timestamp.json"]
    assert kept.targets.keys() == {"targets"}
    asked.vet(TOOL_ID, "1.0.0", MANIFEST)
    kept = pinned.load()
    assert kept is not None
    assert shelf.bin_of(RELEASE) in kept.targets
    assert asked.confirms_requirement(TOOL_ID, "1.0.0", HASH)
    kept = pinned.load()
    assert kept is not None
    assert "requirements" in kept.targets


def test_only_what_hq_signed_is_required(pinned: Pins, shelf: SignedShelf) -> None:
    before = vetted(pinned, shelf.source())
    assert not before.confirms_requirement(TOOL_ID, "1.0.0", HASH)
    shelf.require(RELEASE)
    asked = vetted(pinned, shelf.source())
    assert asked.confirms_requirement(TOOL_ID, "1.0.0", HASH)
    assert not asked.confirms_requirement(TOOL_ID, "1.0.1", HASH)
    assert not asked.confirms_requirement(TOOL_ID, "1.0.0", "0" * 64)
    assert not asked.confirms_requirement("other-tool", "1.0.0", HASH)


# --- packed metadata ----------------------------------------------------------------------------


class Asked(MemorySource):
    """Remembers which metadata it was asked for."""

    def __init__(self, metadata: dict[str, bytes]) -> None:
        super().__init__()
        self.metadata = metadata
        self.names: list[str] = []

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        self.names.append(name)
        return super().read_metadata(name, max_bytes)


def test_packed_metadata_are_asked_for_first() -> None:
    source = Asked({"3.hq.json.zst": compress(b"{}", 3), "3.hq.json": b"other"})
    assert reading(source)("3.hq.json", 100) == b"{}"
    assert source.names == ["3.hq.json.zst"]


def test_where_none_are_packed_they_come_plain() -> None:
    source = Asked({"3.hq.json": b"{}"})
    assert reading(source)("3.hq.json", 100) == b"{}"
    assert reading(source)("4.hq.json", 100) is None


@pytest.mark.parametrize("name", ["timestamp.json", "2.root.json"])
def test_what_is_asked_for_every_time_is_never_packed(name: str) -> None:
    source = Asked({})
    assert reading(source)(name, 100) is None
    assert source.names == [name]


@pytest.mark.parametrize("packed", [b"no frame", compress(bytes(101), 3)])
def test_packed_metadata_that_are_none_or_too_long(packed: bytes) -> None:
    source = Asked({"3.hq.json.zst": packed, "3.hq.json": b"{}"})
    with pytest.raises(SignatureRefused):
        reading(source)("3.hq.json", 100)
