"""A package in parts is the package; a missing, short or swapped part is told."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest

from bitstation.core.digest import digest_of
from bitstation.core.manifest import MAX_MANIFEST_BYTES
from bitstation.errors import BitStationError, NotFound, PackageInvalid
from bitstation.storage.durable import Disk
from bitstation.storage.parts import (
    PartsReader,
    PartsWriter,
    find_parts,
    part_path,
    whole_path,
)
from bitstation.transport.package import PackageSource
from tests.contract.packages import FILES, manifest_of, package_bytes

NAME = "tool_sample_1.0.0.zip"
PART_BYTES = 20_000


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """A stored package, so that one file reaches over several parts."""
    data = package_bytes(method=0)
    cuts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
    paths = [part_path(tmp_path / NAME, number) for number in range(1, len(cuts) + 1)]
    for path, cut in zip(paths, cuts, strict=True):
        path.write_bytes(cut)
    assert len(paths) > 5
    return paths


def write_catalog(paths: list[Path]) -> None:
    """A catalogue beside the parts, as ``pack`` writes it."""
    rows = [
        {"name": path.name, "size": path.stat().st_size, "sha256": digest_of(path.read_bytes())}
        for path in paths
    ]
    tool = {
        "tool_id": "sample",
        "name": "Sample",
        "latest": "1.0.0",
        "asset_name": NAME,
        "sha256": digest_of(b"".join(path.read_bytes() for path in paths)),
        "size": sum(path.stat().st_size for path in paths),
        "manifest_hash": manifest_of(FILES).manifest_hash,
        "parts": rows,
        "platforms": ["linux"],
        "has_frontend": False,
    }
    catalog = {"catalog_version": "2026.01.01", "tools": [tool]}
    (paths[0].parent / "catalog.json").write_text(json.dumps(catalog))


def write_checksums(paths: list[Path]) -> None:
    """Checksums beside the parts, without a catalogue."""
    lines = [f"{digest_of(path.read_bytes())}  {path.name}\n" for path in paths]
    (paths[0].parent / "checksums.sha256").write_text("".join(lines))


def test_any_part_and_the_plain_name_open_the_package(parts: list[Path]) -> None:
    for named in (*parts, whole_path(parts[0])):
        source = PackageSource(named)
        for body in FILES.values():
            assert source.read_object(digest_of(body), len(body)) == body


@pytest.mark.parametrize("beside", [write_catalog, write_checksums, None])
def test_a_missing_part_is_named(parts: list[Path], beside: object) -> None:
    if callable(beside):
        beside(parts)
    for missing in (parts[0], parts[3], parts[-1]):
        kept = missing.read_bytes()
        missing.unlink()
        with pytest.raises(PackageInvalid) as caught:
            PackageSource(next(path for path in parts if path != missing))
        known = beside is not None or missing != parts[-1]
        assert (missing.name if known else "is a part missing?") in str(caught.value)
        missing.write_bytes(kept)


def test_a_package_of_which_nothing_is_here(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        PackageSource(tmp_path / (NAME + ".001"))


@pytest.mark.parametrize("index", [0, 2])
def test_a_part_that_was_copied_incompletely(parts: list[Path], index: int) -> None:
    parts[index].write_bytes(parts[index].read_bytes()[:-1])
    with pytest.raises(PackageInvalid, match="bytes, not"):
        PackageSource(parts[0])


def test_a_last_part_of_another_length_than_the_catalogue_says(parts: list[Path]) -> None:
    write_catalog(parts)
    parts[-1].write_bytes(parts[-1].read_bytes() + b"\0")
    with pytest.raises(PackageInvalid, match="bytes, not"):
        PackageSource(parts[0])


def test_swapped_parts_never_give_wrong_content(parts: list[Path]) -> None:
    whole = [path.read_bytes() for path in parts]
    for one, other in itertools.combinations(range(len(parts) - 1), 2):
        swapped = whole.copy()
        swapped[one], swapped[other] = whole[other], whole[one]
        for path, data in zip(parts, swapped, strict=True):
            path.write_bytes(data)
        with pytest.raises(BitStationError) as caught:
            read_all(parts[0])
        assert caught.value.exit_code == 30


def read_all(path: Path) -> None:
    source = PackageSource(path)
    for row in source.resolve("sample", None).manifest.entries:
        source.read_object(row.sha256, MAX_MANIFEST_BYTES)


def test_a_damaged_catalogue_beside_says_nothing(parts: list[Path]) -> None:
    (parts[0].parent / "catalog.json").write_text("{")
    read_all(parts[0])


def test_the_whole_is_taken_where_it_stands_beside_parts(parts: list[Path]) -> None:
    whole = whole_path(parts[0])
    whole.write_bytes(b"".join(path.read_bytes() for path in parts))
    assert find_parts(whole) == [whole]
    assert find_parts(parts[1]) == parts


def test_folders_named_like_patterns_are_only_names(parts: list[Path], tmp_path: Path) -> None:
    odd = tmp_path / "dist[1]"
    odd.mkdir()
    for path in parts:
        shutil.copy(path, odd)
    read_all(odd / parts[2].name)


# --- writing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("max_bytes", [1, 7, 100, 1000])
def test_what_is_written_and_patched_is_what_is_read(tmp_path: Path, max_bytes: int) -> None:
    writer = PartsWriter(tmp_path / NAME, max_bytes, Disk())
    wanted = bytearray()
    for number in range(20):
        block = bytes([number]) * (number * 3 % 17)
        writer.write(block)
        wanted += block
    for offset, patch in ((0, b"begin"), (50, b"middle"), (len(wanted) - 4, b"end!")):
        writer.patch(offset, patch)
        wanted[offset : offset + len(patch)] = patch
    writer.write(b"more")
    wanted += b"more"
    assert writer.tell() == len(wanted)
    paths = writer.finish()
    assert all(path.stat().st_size == max_bytes for path in paths[:-1])
    assert paths == find_parts(tmp_path / NAME)
    assert sorted(tmp_path.iterdir()) == paths
    reader = PartsReader([(path, path.stat().st_size) for path in paths])
    assert reader.read(len(wanted) + 10) == wanted
    for offset in (0, 3, 120, 20, len(wanted)):
        reader.seek(offset)
        assert reader.read(40) == wanted[offset : offset + 40]
    reader.close()


def test_one_part_gets_the_plain_name(tmp_path: Path) -> None:
    writer = PartsWriter(tmp_path / NAME, 100, Disk())
    writer.write(b"x" * 100)
    assert writer.finish() == [tmp_path / NAME]


def test_more_parts_than_three_digits_count_are_refused(tmp_path: Path) -> None:
    writer = PartsWriter(tmp_path / NAME, 1, Disk())
    with pytest.raises(BitStationError, match="more than 999 parts"):
        writer.write(b"x" * 1000)
    writer.close()
