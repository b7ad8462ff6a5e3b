"""The atlas: maps and recipes of a release, read as written, or refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core import atlas as module
from bitstation.core.atlas import MAGIC, VERSION, Atlas, encode_atlas, parse_atlas
from bitstation.core.blockmap import MAX_MAP_BYTES, encode_blockmap
from bitstation.core.digest import Digest, digest_of
from bitstation.core.recipe import INLINE, Codec, Fetch, Fill, Recipes, Segment, encode_recipes
from bitstation.core.varint import encode_varint
from bitstation.errors import ManifestError
from bitstation.testing.mapped import map_of

GOLDEN = Path(__file__).parents[1] / "golden" / "atlas-v1.hex"

LONG, SHORT, PACK = map_of(bytes(range(250)), 100), map_of(b"short", 3), digest_of(b"pack")
SMALL = Atlas(
    {LONG.file_digest: LONG, SHORT.file_digest: SHORT},
    {
        LONG.file_digest: (
            Segment(0, 1, Fetch(Codec.ZSTD, PACK, 0, 20)),
            Segment(2, 1, Fetch(Codec.PLANES_2, PACK, 20, 30)),
        ),
        SHORT.file_digest: (Segment(1, 1, Fill(0)),),
        digest_of(b"no map"): (Segment(0, 1, Fetch(Codec.ZSTD, PACK, 50, 6)),),
    },
)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=4), st.integers(1, 20))
def test_an_atlas_is_read_as_it_was_written(contents: list[bytes], block_bytes: int) -> None:
    maps = {digest_of(data): map_of(data, block_bytes) for data in contents}
    recipes: Recipes = {each: (Segment(0, 1, Fill(3)),) for each in maps}
    made = Atlas(maps, recipes)
    assert parse_atlas(encode_atlas(made)) == made
    assert encode_atlas(parse_atlas(encode_atlas(made))) == encode_atlas(made)


def test_the_golden_atlas_is_read_and_written_byte_for_byte() -> None:
    data = bytes.fromhex(GOLDEN.read_text("ascii"))
    assert parse_atlas(data) == SMALL
    assert encode_atlas(SMALL) == data


def test_it_says_which_packs_it_needs() -> None:
    assert SMALL.packs == {PACK}
    assert Atlas().packs == set()


def test_an_atlas_cut_short_anywhere_is_refused() -> None:
    data = encode_atlas(SMALL)
    for length in range(len(data)):
        with pytest.raises(ManifestError):
            parse_atlas(data[:length])


@given(st.integers(0, len(encode_atlas(SMALL)) - 1), st.integers(1, 255))
def test_a_changed_byte_gives_another_atlas_or_none(position: int, flip: int) -> None:
    data = bytearray(encode_atlas(SMALL))
    data[position] ^= flip
    try:
        assert parse_atlas(bytes(data)) != SMALL
    except ManifestError:
        return


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version: int) -> None:
    data = bytearray(encode_atlas(SMALL))
    data[4] = version
    with pytest.raises(ManifestError, match=f"version {version} "):
        parse_atlas(bytes(data))


def written(*maps: bytes, count: int | None = None, rest: bytes = b"") -> bytes:
    parts = b"".join(encode_varint(len(each)) + each for each in maps)
    number = encode_varint(len(maps) if count is None else count)
    return MAGIC + bytes([VERSION]) + number + parts + (rest or encode_recipes({}))


@pytest.mark.parametrize(
    "data",
    [
        b"BSRC" + encode_atlas(SMALL)[4:],
        encode_atlas(SMALL) + b"\0",
        written(encode_blockmap(LONG), encode_blockmap(LONG)),
        written(encode_blockmap(LONG) + b"\0"),
        written(encode_blockmap(LONG)[:-1]),
        written(b""),
        written(encode_blockmap(LONG), rest=b"BSRC"),
        written(rest=encode_recipes({LONG.file_digest: (Segment(0, 2, Fill(0)),)})),
    ],
    ids=[
        *(
            "other format",
            "more follows",
            "two maps of a file",
            "a map too long",
            "a map too short",
        ),
        *("empty map", "no recipes", "recipe past the file"),
    ],
)
def test_an_atlas_that_is_wrong_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_atlas(data)


@pytest.mark.parametrize("count", [200, 10**12])
def test_a_lying_count_costs_no_memory(count: int) -> None:
    lying_map = MAGIC + bytes([VERSION, 1]) + encode_varint(MAX_MAP_BYTES) + bytes(1000)
    for data in (written(count=count, rest=bytes(1000)), lying_map):
        tracemalloc.start()
        with pytest.raises(ManifestError):
            parse_atlas(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000


def test_a_larger_one_than_allowed_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ATLAS_BYTES", len(encode_atlas(SMALL)) - 1)
    with pytest.raises(ManifestError, match="larger than"):
        parse_atlas(encode_atlas(SMALL))


def test_a_payload_that_lies_in_a_guide_is_no_pack_of_the_release() -> None:
    """An atlas is made without a guide, so what it says of inline bytes names no blob."""
    inline: Recipes = {Digest("0" * 64): (Segment(0, 1, Fetch(Codec.RAW, INLINE, 0, 1)),)}
    assert parse_atlas(encode_atlas(Atlas({}, inline))).packs == set()
