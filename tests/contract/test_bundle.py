"""A bundle is believed only where all of it is as bundles are; its spans are served exactly."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import msgspec
import pytest

from bitstation.core.bundle import BundleOffer, Span, blob_member, span_member
from bitstation.core.digest import Digest, digest_of
from bitstation.core.wire import BaseRef
from bitstation.errors import (
    BitStationError,
    DigestMismatch,
    ManifestError,
    NotFound,
    PackageInvalid,
    SourceError,
)
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.scripted_hq import offer_of
from bitstation.transport.bundle import BundleSource, is_bundle
from bitstation.transport.open import open_source
from bitstation.transport.package import PackageSource
from tests.contract.layouts import bundle_members, write_bundle, write_zip
from tests.contract.packages import content

DATA = os.urandom(50_000)
DIGEST = digest_of(DATA)
RELEASE = make_release({"m.bin": DATA, "a.txt": b"a"})
MEMBERS = bundle_members(RELEASE)
BASE = BaseRef("0.9.0", Digest("a" * 64))


def part_of(*spans: Span) -> dict[str, bytes]:
    """Members of a bundle that has only spans of the model."""
    stated = msgspec.to_builtins(offer_of(RELEASE)) | {"bases": [msgspec.to_builtins(BASE)]}
    offer = msgspec.json.encode(msgspec.convert(stated, BundleOffer))
    kept = {name: data for name, data in MEMBERS.items() if name != blob_member(DIGEST)}
    ranges = {span_member(DIGEST, span): DATA[span.offset : span.end] for span in spans}
    return {**kept, "offer.json": offer, **ranges}


def test_spans_are_served_from_what_covers_them(tmp_path: Path) -> None:
    spans = Span(1000, 500), Span(0, 10), Span(40_000, 10_000)
    source = BundleSource(write_zip(tmp_path / "b", part_of(*spans)))
    for offset, length in [(0, 10), (3, 4), (1000, 500), (1499, 1), (40_001, 9999), (49_999, 1)]:
        assert content(source, DIGEST, offset, length) == DATA[offset : offset + length]
    for offset, length in [(0, 11), (10, 1), (999, 2), (1400, 101), (49_999, 2), (20_000, 5)]:
        with pytest.raises(NotFound):
            content(source, DIGEST, offset, length)
    with pytest.raises(NotFound):
        source.read_object(DIGEST, len(DATA))
    assert source.resolve(TOOL_ID, None).needs == (BASE,)
    assert not source.is_local, "what is packed in it must be used"


def test_a_whole_bundle_needs_no_base(tmp_path: Path) -> None:
    source = BundleSource(write_bundle(tmp_path / "b", RELEASE))
    assert source.resolve(TOOL_ID, "1.0.0").needs == ()
    assert content(source, DIGEST, 100, 1000) == DATA[100:1100]


def test_a_bundle_is_told_from_a_package(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "x.zip", RELEASE)
    members = {"manifest.json": RELEASE.manifest.encode(), **RELEASE.files}
    package = write_zip(tmp_path / "y.bundle", members)
    assert (is_bundle(bundle), is_bundle(package), is_bundle(tmp_path / "no")) == (
        True,
        False,
        False,
    )
    assert isinstance(open_source(bundle), BundleSource)
    assert isinstance(open_source(package), PackageSource)


def test_parts_are_one_bundle_and_a_lost_one_is_named(tmp_path: Path) -> None:
    data = write_bundle(tmp_path / "whole", RELEASE).read_bytes()
    parts = [tmp_path / f"b.zip.{number:03}" for number in (1, 2, 3)]
    for number, part in enumerate(parts):
        part.write_bytes(data[number * 20_000 : (number + 1) * 20_000])
    for named in (tmp_path / "b.zip", parts[0], parts[2]):
        source = open_source(named)
        assert isinstance(source, BundleSource)
        assert content(source, DIGEST, 15_000, 20_000) == DATA[15_000:35_000]
    parts[1].unlink()
    with pytest.raises(PackageInvalid, match=r"b\.zip\.002"):
        open_source(tmp_path / "b.zip")
    parts[2].unlink()
    with pytest.raises(PackageInvalid, match="is a part missing"):
        open_source(tmp_path / "b.zip")


def with_member(name: str, data: bytes = b"x") -> dict[str, bytes]:
    return {**MEMBERS, name: data}


OFFER = MEMBERS["offer.json"]
HOSTILE: dict[str, tuple[dict[str, bytes], type[BitStationError]]] = {
    "a stranger": (with_member("readme.txt"), PackageInvalid),
    "a way out": (with_member("../x"), PackageInvalid),
    "a way up": (with_member("blobs/sha256/../../x"), PackageInvalid),
    "a folder": (with_member("ranges/", b""), PackageInvalid),
    "no digest": (with_member("blobs/sha256/" + "A" * 64), PackageInvalid),
    "a span of another length": (with_member(f"ranges/{DIGEST}/0-5"), PackageInvalid),
    "a span of nothing": (with_member(f"ranges/{DIGEST}/0-0", b""), PackageInvalid),
    "a span at no place": (with_member(f"ranges/{DIGEST}/-1-1"), PackageInvalid),
    "a span with zeroes": (with_member(f"ranges/{DIGEST}/00-1"), PackageInvalid),
    "a span at infinity": (with_member(f"ranges/{DIGEST}/{10**30}-1"), PackageInvalid),
    "no offer": ({"blobs/sha256/" + DIGEST: DATA}, PackageInvalid),
    "an offer of nothing": ({**MEMBERS, "offer.json": b""}, ManifestError),
    "an offer of garbage": ({**MEMBERS, "offer.json": b"{"}, ManifestError),
    "an offer of no text": ({**MEMBERS, "offer.json": b'{"tool_id":"\xff"}'}, ManifestError),
    "an endless offer": ({**MEMBERS, "offer.json": b" " * 20_000}, PackageInvalid),
    "an offer of no digest": (
        {**MEMBERS, "offer.json": OFFER.replace(DIGEST[:1].encode(), b"G")}, ManifestError
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_bundle_is_refused_before_anything_is_read(
    tmp_path: Path, case: tuple[dict[str, bytes], type[BitStationError]]
) -> None:
    members, kind = case
    with pytest.raises(kind):
        BundleSource(write_zip(tmp_path / "b", members))


def test_packed_members_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "b", MEMBERS, zipfile.ZIP_DEFLATED)
    with pytest.raises(PackageInvalid):
        BundleSource(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b", RELEASE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(blob_member(DIGEST), b"another")
    with pytest.raises(PackageInvalid, match="twice"):
        BundleSource(path)


def test_too_many_bases_are_refused(tmp_path: Path) -> None:
    stated = msgspec.json.decode(OFFER) | {"bases": [msgspec.to_builtins(BASE)] * 9}
    members = {**MEMBERS, "offer.json": msgspec.json.encode(stated)}
    with pytest.raises(ManifestError, match="bases"):
        BundleSource(write_zip(tmp_path / "b", members))


def test_other_bytes_are_noticed_by_their_digest(tmp_path: Path) -> None:
    members = {**MEMBERS, blob_member(DIGEST): DATA[::-1]}
    source = BundleSource(write_zip(tmp_path / "b", members))
    with pytest.raises(DigestMismatch):
        source.read_object(DIGEST, len(DATA))


def test_a_bundle_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = write_bundle(tmp_path / "whole", make_release({"a.txt": b"a" * 300})).read_bytes()
    path = tmp_path / "b"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises((PackageInvalid, SourceError, ManifestError)):
            BundleSource(path)
