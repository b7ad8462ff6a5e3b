"""The paths that HQ and static mirrors share, and the offer."""

from __future__ import annotations

import pytest

from bitstation.core.digest import Digest
from bitstation.core.mirror import (
    MAX_BASES,
    MAX_GUIDES,
    MAX_OFFER_BYTES,
    blob_path,
    encode_offer,
    merge_guides,
    offer_path,
    parse_offer,
)
from bitstation.core.wire import BlobRef, GuideRef, ReleaseOffer
from bitstation.errors import ManifestError, UsageError

HASH = Digest("f" * 64)


def offer_with(guides: int) -> ReleaseOffer:
    bases = [None, *(Digest(f"{number:064x}") for number in range(1, guides))]
    refs = tuple(GuideRef(HASH, 10**8, base) for base in bases)
    blob = BlobRef(HASH, 10**7)
    return ReleaseOffer("z-image-turbo", "12.10.11", HASH, blob, refs, required=True)


def test_paths_are_those_of_hq() -> None:
    assert offer_path("x") == "api/v1/tools/x/offer.json"
    assert offer_path("x", "1.0.0-rc.1+b") == "api/v1/tools/x/1.0.0-rc.1+b/offer.json"
    assert blob_path(HASH) == f"api/v1/blobs/sha256/{HASH}"


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "con", "x\n"])
def test_what_could_be_another_path_is_none(name: str) -> None:
    with pytest.raises(UsageError):
        offer_path(name)
    with pytest.raises(UsageError):
        offer_path("x", name)
    with pytest.raises(ValueError, match="not a digest"):
        blob_path(Digest(name))


def test_an_offer_with_four_guides_is_below_a_thousand_bytes() -> None:
    assert len(encode_offer(offer_with(4))) < 1000
    assert len(encode_offer(offer_with(MAX_GUIDES))) < MAX_OFFER_BYTES


def test_an_offer_is_read_as_it_was_written() -> None:
    offer = offer_with(4)
    assert parse_offer(encode_offer(offer)) == offer
    assert parse_offer(encode_offer(offer)[:-1] + b',"later":1}') == offer


def refs(*bases: int | None, size: int = 1) -> tuple[GuideRef, ...]:
    return tuple(
        GuideRef(HASH, size, None if base is None else Digest(f"{base:064x}")) for base in bases
    )


def test_added_guides_replace_those_from_the_same_base() -> None:
    old, new = refs(None, 1, 2), refs(2, 3, size=9)
    assert merge_guides(old, new) == (refs(None) + new + refs(1))
    assert merge_guides((), refs(1, None)) == refs(None, 1)
    assert merge_guides(old, ()) == old


def test_of_too_many_guides_the_added_ones_and_the_one_from_nothing_stay() -> None:
    found = merge_guides(refs(None, *range(1, 8)), refs(*range(10, 10 + MAX_BASES), size=9))
    assert found == refs(None) + refs(*range(10, 10 + MAX_BASES), size=9)
    assert len(found) == MAX_GUIDES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"<html>",
        b'{"tool_id":"\xff\xfe"}',
        b" " * (MAX_OFFER_BYTES + 1),
        encode_offer(offer_with(1)).replace(b"z-image", b"../../x"),
        encode_offer(offer_with(1)).replace(b"12.10.11", b"../x"),
        encode_offer(offer_with(1)).replace(b"ff", b"FF"),
        encode_offer(offer_with(1)).replace(b"100000000", b"-1"),
    ],
)
def test_what_is_no_offer_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_offer(data)
