"""Guides: read as written, unfolded to the documents that they name, or refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.codec.guiding import Papers, fold, unfold
from bitstation.codec.zstd import compress
from bitstation.core import guide as module
from bitstation.core.digest import EMPTY, Digest, digest_of
from bitstation.core.guide import (
    MAGIC,
    MAX_INLINE_BYTES,
    VERSION,
    Guide,
    Part,
    encode_guide,
    parse_guide,
)
from bitstation.core.manifest import MAX_MANIFEST_BYTES
from bitstation.core.varint import encode_varint
from bitstation.errors import ManifestError

GOLDEN = Path(__file__).parents[1] / "golden" / "guide-v1.hex"
BASE_HASH, TARGET_HASH = digest_of(b"base"), digest_of(b"target")
OLD = Papers(b'{"the manifest": "of the base", "files": ["a", "b", "c"]}', b"atlas of the base")
NEW = Papers(b'{"the manifest": "of the goal", "files": ["a", "b", "d"]}', b"")
RECIPES = b"recipes that make one of the other"
INLINE = bytes(range(40))


def small(base: tuple[Digest, Papers] | None = (BASE_HASH, OLD)) -> Guide:
    return fold(NEW, RECIPES, target_hash=TARGET_HASH, base=base, inline=INLINE)


SMALL = small()

_documents = st.binary(max_size=300)


@given(_documents, _documents, _documents, st.binary(max_size=100), st.booleans(), _documents)
def test_a_guide_gives_back_what_it_was_made_of(
    manifest: bytes, atlas: bytes, recipes: bytes, inline: bytes, is_from_base: bool, other: bytes
) -> None:
    papers, base = Papers(manifest, atlas), Papers(other, other[::-1])
    start = (BASE_HASH, base) if is_from_base else None
    made = fold(papers, recipes, target_hash=TARGET_HASH, base=start, inline=inline)

    read = parse_guide(encode_guide(made))

    assert read == made
    assert (read.base, read.target) == (BASE_HASH if is_from_base else None, TARGET_HASH)
    assert unfold(read, base if is_from_base else None) == (papers, recipes, inline)


def test_the_golden_guide_is_read_and_written_byte_for_byte() -> None:
    """Its frames are of one version of zstd, and are read by every later one."""
    data = bytes.fromhex(GOLDEN.read_text("ascii"))
    guide = parse_guide(data)
    assert encode_guide(guide) == data
    assert (guide.base, guide.target) == (BASE_HASH, TARGET_HASH)
    assert unfold(guide, OLD) == (NEW, RECIPES, INLINE)


def test_a_guide_cut_short_anywhere_is_refused() -> None:
    data = encode_guide(SMALL)
    for length in range(len(data)):
        with pytest.raises(ManifestError):
            parse_guide(data[:length])


@given(st.integers(0, len(encode_guide(SMALL)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_before_a_document_is_believed(position: int, flip: int) -> None:
    data = bytearray(encode_guide(SMALL))
    data[position] ^= flip
    try:
        guide = parse_guide(bytes(data))
        assert guide != SMALL
        # Inline bytes are proved with what comes of them.
        assert unfold(guide, OLD)[:2] == (NEW, RECIPES)
    except ManifestError:
        return


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version: int) -> None:
    data = bytearray(encode_guide(SMALL))
    data[4] = version
    with pytest.raises(ManifestError, match=f"version {version} "):
        parse_guide(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"BSAT" + encode_guide(SMALL)[4:],
        encode_guide(SMALL) + b"\0",
        encode_guide(msgspec.structs.replace(SMALL, inline=bytes(MAX_INLINE_BYTES + 1))),
        encode_guide(
            msgspec.structs.replace(SMALL, manifest=Part(MAX_MANIFEST_BYTES + 1, EMPTY, b""))
        ),
    ],
    ids=["other format", "more follows", "too much inline", "a document too long"],
)
def test_a_guide_that_is_wrong_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_guide(data)


def test_a_larger_one_than_allowed_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_GUIDE_BYTES", len(encode_guide(SMALL)) - 1)
    with pytest.raises(ManifestError, match="larger than"):
        parse_guide(encode_guide(SMALL))


@pytest.mark.parametrize("count", [10**6, 33 * 2**20, 10**12])
def test_a_lying_length_costs_no_memory(count: int) -> None:
    head = MAGIC + bytes([VERSION]) + bytes(64) + bytes(32)
    data = head + encode_varint(count) + encode_varint(count) + bytes(1000)
    tracemalloc.start()
    with pytest.raises(ManifestError):
        parse_guide(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def changed(**fields: object) -> Guide:
    """The guide from nothing, its recipes changed."""
    whole = small(base=None)
    return msgspec.structs.replace(whole, recipes=msgspec.structs.replace(whole.recipes, **fields))


@pytest.mark.parametrize(
    "guide",
    [
        changed(digest=EMPTY),
        changed(size_bytes=len(RECIPES) + 1),
        changed(size_bytes=0),
        changed(frame=b""),
        changed(frame=compress(RECIPES)[:-1]),
        changed(frame=compress(RECIPES) + b"!"),
        changed(frame=compress(bytes(60 * 2**20))),
        changed(frame=b"noise"),
    ],
    ids=["digest", "longer", "empty", "no frame", "cut short", "more follows", "bomb", "noise"],
)
def test_a_document_is_what_its_digest_says_or_refused(guide: Guide) -> None:
    tracemalloc.start()
    with pytest.raises(ManifestError):
        unfold(guide)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("base", [None, Papers(b"", b""), Papers(OLD.manifest[::-1], b"")])
def test_a_guide_over_another_base_leads_nowhere(base: Papers | None) -> None:
    with pytest.raises(ManifestError):
        unfold(SMALL, base)
