"""What a publisher makes of a release: everything in it can be built again, and it is worth it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitstation.core.atlas import parse_atlas
from bitstation.core.blockmap import Cut, encode_blockmap
from bitstation.core.digest import digest_of
from bitstation.core.guide import parse_guide
from bitstation.core.recipe import Codec, Fetch, Fill
from bitstation.publisher.maps import MapCache
from bitstation.recipes import mapping
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import make_release
from tests.engine.making import (
    OLD,
    OLD_FILES,
    changed,
    edited,
    floats,
    model,
    noise,
    quants,
    text,
)
from tests.unit.model_files import Tensor, safetensors
from tests.unit.rebuilding import Published, make, rebuild


def test_a_release_from_nothing_is_built_again_from_its_forms(old: Published) -> None:
    cost = rebuild(old)
    assert cost.patches == 0
    # What is noise stays as it is; text, weights and zeroes do not.
    noisy = 4_399_000
    assert noisy <= cost.raw < noisy + 2_000
    assert cost.total < noisy + 1_500_000
    assert sum(map(len, OLD_FILES.values())) > 9_000_000


def test_every_kind_of_content_has_its_form(old: Published) -> None:
    atlas = parse_atlas(old.made.atlas_bytes)
    forms = {
        path: [segment.step for segment in atlas.recipes.get(digest_of(data), ())]
        for path, data in OLD_FILES.items()
    }
    assert _codecs(forms["weights.safetensors"]) == {Codec.ZSTD, Codec.PLANES_2, Codec.PLANES_4}
    assert Fill(0) in forms["weights.safetensors"]
    assert Fill(0) in forms["models/zero.bin"]
    assert _codecs(forms["models/raw.bin"]) == {Codec.PLANES_2}
    assert _codecs(forms["app/main.py"]) == {Codec.ZSTD}
    assert _codecs(forms["weights.gguf"]) == {Codec.ZSTD}
    assert forms["data/big.bin"] == []
    assert forms["readme.txt"] == []


def _codecs(steps: list[object]) -> set[Codec]:
    return {step.codec for step in steps if isinstance(step, Fetch)}


def test_maps_stand_in_the_order_of_the_manifest_and_small_files_have_none(old: Published) -> None:
    atlas = parse_atlas(old.made.atlas_bytes)
    paths = {entry.sha256: entry.path for entry in OLD.manifest.entries}
    assert [paths[digest] for digest in atlas.maps] == [
        "bin/libcore.so.2600",
        "data/big.bin",
        "models/raw.bin",
        "models/zero.bin",
        "weights.gguf",
        "weights.safetensors",
    ]
    cuts = {paths[digest]: each.cut for digest, each in atlas.maps.items()}
    assert cuts["weights.gguf"] == cuts["weights.safetensors"] == Cut.TENSORS
    assert cuts["data/big.bin"] == Cut.CONTENT
    order = [paths[digest] for digest in atlas.recipes]
    assert order == sorted(order)


def test_small_files_lie_one_after_the_other_in_the_pack(old: Published) -> None:
    atlas = parse_atlas(old.made.atlas_bytes)
    spans = [
        (step.offset, step.length)
        for digest in (digest_of(OLD_FILES["app/main.py"]), digest_of(OLD_FILES["app/util.py"]))
        for step in (segment.step for segment in atlas.recipes[digest])
        if isinstance(step, Fetch)
    ]
    assert spans[0][0] == 0
    assert spans[1][0] == spans[0][1]


def test_the_same_release_gives_the_same_bytes(old: Published, tmp_path: Path) -> None:
    again = make(OLD, tmp_path)
    assert again.made.atlas_bytes == old.made.atlas_bytes
    assert again.made.guides == old.made.guides
    assert again.packs == old.packs
    target = changed(
        bin__libcore_so_2700=edited(OLD_FILES["bin/libcore.so.2600"], 9_000, b"x" * 90)
    )
    first, second = (make(target, tmp_path, old.known()) for _ in range(2))
    assert first.made.guides == second.made.guides
    assert first.packs == second.packs


def test_an_edit_of_a_models_metadata_costs_little_more_than_a_guide(
    old: Published, tmp_path: Path
) -> None:
    tensors = [quants(1_200_000, 8), quants(2_500_000, 9)]
    target = changed(weights_gguf=model("hello, and more of it " * 9, tensors))
    made = make(target, tmp_path, old.known())
    cost = rebuild(made, old)
    assert cost.raw == 0
    assert cost.total < 1_000


def test_a_renamed_file_costs_its_row_in_the_manifest(old: Published, tmp_path: Path) -> None:
    target = changed(data__big_bin=None, data__moved_bin=OLD_FILES["data/big.bin"])
    source = MemorySource(target)
    made = make(target, tmp_path, old.known(), source=source)
    cost = rebuild(made, old)
    assert cost.total == cost.guide < 700
    assert source.asked == []
    assert made.packs == {}


def test_a_library_is_patched_though_its_name_holds_its_version(
    old: Published, tmp_path: Path
) -> None:
    data = OLD_FILES["bin/libcore.so.2600"]
    library = b"".join(edited(data, at, b"patched %d" % at) for at in (1_000,)) + noise(40_000, 77)
    for at in range(5_000, len(data), 20_000):
        library = edited(library, at, b"patched %d" % at)
    contents = {**OLD_FILES, "bin/libcore.so.2700": library}
    del contents["bin/libcore.so.2600"]
    target = make_release(contents, "1.1.0")
    made = make(target, tmp_path, old.known())
    cost = rebuild(made, old)
    assert cost.forms == cost.raw == 0
    assert 40_000 < cost.patches < 45_000
    assert len(made.packs) == 2
    guide = parse_guide(made.guide_from(OLD) or b"")
    assert guide.inline == b""


def test_short_patches_lie_in_the_guide(old: Published, tmp_path: Path) -> None:
    source = OLD_FILES["app/main.py"]
    target = changed(app__main_py=edited(source, 700, b"# another line\n"))
    made = make(target, tmp_path, old.known())
    cost = rebuild(made, old)
    assert cost.total == cost.guide < 1_000
    assert parse_guide(made.guide_from(OLD) or b"").inline


def test_weights_that_moved_little_are_patched_and_others_are_packed(
    old: Published, tmp_path: Path
) -> None:
    weights = bytearray(OLD_FILES["weights.safetensors"])
    for at in range(20_000, 500_000, 400):
        weights[at] ^= 1
    target = changed(weights_safetensors=bytes(weights))
    cost = rebuild(make(target, tmp_path, old.known()), old)
    assert cost.forms == cost.raw == 0
    assert cost.patches < 15_000
    other = safetensors(
        [
            ("a", "BF16", [300_000], floats(300_000, 77)),
            ("b", "F32", [40_000], floats(40_000, 8, 4)),
            ("c", "F32", [600_000], bytes(2_400_000)),
        ],
        {"format": "pt"},
    )
    cost = rebuild(make(changed(weights_safetensors=other), tmp_path, old.known()), old)
    assert cost.patches == cost.raw == 0
    assert 350_000 < cost.forms < 450_000


def test_nothing_is_packed_twice(old: Published, tmp_path: Path) -> None:
    data = OLD_FILES["bin/libcore.so.2600"]
    target = changed(more__copy_bin=data + text(70_000, 99), app__new_py=text(9_000, 98))
    made = make(target, tmp_path, old.known())
    new_bytes = sum(map(len, made.packs.values()))
    # What is new, and the chunk that it begins in.
    assert new_bytes < 80_000
    packs = parse_atlas(made.made.atlas_bytes).packs
    assert set(old.packs) <= packs
    assert set(made.packs) <= packs
    # From nothing, too: the forms of the base are those of this release.
    rebuild(Published(target, made.made, made.packs | old.packs))


def test_blocks_whose_frame_was_broken_are_packed_again_apart_from_new_ones(
    old: Published, tmp_path: Path
) -> None:
    target = changed(models__raw_bin=edited(OLD_FILES["models/raw.bin"], 150_000, b"new" * 30))
    made = make(target, tmp_path, old.known())
    worker = rebuild(made, old)
    assert worker.forms == worker.raw == 0
    fresh = rebuild(Published(target, made.made, made.packs | old.packs))
    # But for noise all of it still comes packed.
    assert fresh.raw < 4_401_000


def test_each_base_has_its_guide_and_the_newest_map_wins(old: Published, tmp_path: Path) -> None:
    middle_release = changed("1.1.0", app__main_py=text(20_100, 21))
    middle = make(middle_release, tmp_path, old.known())
    target = make_release(
        {**middle_release.files, "app/main.py": middle_release.files["app/main.py"] + b"# end\n"},
        "1.2.0",
    )
    made = make(target, tmp_path, middle.known(), old.known())
    assert [guide.base for guide in made.made.guides] == [
        None,
        middle_release.manifest.manifest_hash,
        OLD.manifest.manifest_hash,
    ]
    near = rebuild(made, old, middle)
    far = rebuild(made, middle, old)
    assert near.total < 700 < far.total


def test_a_base_that_shortens_nothing_has_no_guide(tmp_path: Path) -> None:
    stranger = make(make_release({"x.bin": noise(9_000, 31)}, "0.1.0"), tmp_path)
    names = [noise(20, number).hex() for number in range(100)]
    target = make_release({name: noise(90, number) for number, name in enumerate(names)}, "0.2.0")
    made = make(target, tmp_path, stranger.known())
    assert [guide.base for guide in made.made.guides] == [None]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 700_000), st.integers(0, 3), st.integers(0, 90_000)), max_size=4
    ),
    seed=st.integers(0, 99),
)
def test_any_edit_of_opaque_files_is_built_again(
    old: Published, tmp_path: Path, edits: list[tuple[int, int, int]], seed: int
) -> None:
    files = dict(OLD_FILES)
    for path in ("data/big.bin", "bin/libcore.so.2600"):
        data = files[path]
        for at, kind, length in edits:
            pieces = [b"", noise(length, seed), bytes(length), data[length : 2 * length]]
            data = data[:at] + pieces[kind] + data[at + (length if kind == 0 else 0) :]
        files[path] = data
    target = make_release(files, "1.1.0")
    cost = rebuild(make(target, tmp_path, old.known()), old)
    added = sum(length for _, kind, length in edits if kind == 1)
    # At most two chunks around each edit of each file, and what is new.
    assert cost.total < 4_000 + 2 * added + 2 * len(edits) * 2_000 + 2 * 400_000


def test_what_a_base_or_the_cache_maps_is_not_cut_again(
    old: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = MapCache(QuickDisk(), folder=tmp_path / "cache")
    work = tmp_path / "work"
    first = make(OLD, work, cache=cache)
    with monkeypatch.context() as patched:
        patched.setattr(mapping, "map_file", None)
        again = make(OLD, work, cache=cache)
    assert again.made.atlas_bytes == first.made.atlas_bytes == old.made.atlas_bytes
    source = MemorySource(OLD)
    target = make_release({**OLD_FILES, "note.txt": b"new"}, "1.1.0")
    source.add(target)
    make(target, work, old.known(), source=source)
    assert source.fetched == [digest_of(b"new")]


def test_maps_too_many_for_an_atlas_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: Published
) -> None:
    maps = parse_atlas(old.made.atlas_bytes).maps.values()
    models = sum(len(encode_blockmap(each)) for each in maps if each.cut is Cut.TENSORS)
    monkeypatch.setattr(mapping, "_MAX_MAPS_BYTES", models + 300)
    made = make(OLD, tmp_path)
    atlas = parse_atlas(made.made.atlas_bytes)
    assert 2 <= len(atlas.maps) < 6
    assert digest_of(OLD_FILES["data/big.bin"]) not in atlas.maps
    assert digest_of(OLD_FILES["weights.gguf"]) in atlas.maps
    rebuild(made)
    # And such a release is a base like others, and the next one may have no map of it either.
    target = changed(data__big_bin=edited(OLD_FILES["data/big.bin"], 90_000, b"new"))
    rebuild(make(target, tmp_path, made.known()), made)
    monkeypatch.undo()
    rebuild(make(target, tmp_path, made.known()), made)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    template=st.text(max_size=9_000),
    order=st.permutations(range(4)),
    flips=st.lists(st.integers(0, 1_199_999), max_size=40),
    grown=st.integers(1, 300_000),
)
def test_any_edit_of_models_is_built_again(
    old: Published, tmp_path: Path, template: str, order: list[int], flips: list[int], grown: int
) -> None:
    first = quants(1_200_000, 8)
    weights = bytearray(first.data)
    for at in flips:
        weights[at % len(weights)] ^= 1
    tensors = [
        first._replace(data=bytes(weights)),
        quants(2_500_000, 9),
        Tensor("added", 30, (40_000,), floats(40_000, 3)),
        Tensor("bytes", 24, (grown,), noise(grown, 4)),
    ]
    named = [
        ("a", "BF16", [300_000], floats(300_000, 7)),
        ("renamed", "F32", [40_000], floats(40_000, 8, 4)),
        ("c", "F32", [600_000 + grown], bytes(2_400_000 + 4 * grown)),
        ("d", "U8", [len(weights)], bytes(weights)),
    ]
    target = changed(
        weights_gguf=model(template, [tensors[number] for number in order]),
        weights_safetensors=safetensors([named[number] for number in order], {"t": template}),
    )
    cost = rebuild(make(target, tmp_path, old.known()), old)
    # What is new, whole blocks of quantised weights at the worst, and the text twice.
    assert cost.total < 2_000_000 + 90_000 + grown + 8 * len(template) + 5_000
