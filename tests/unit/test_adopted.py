"""The record of adopted files, the search for them, and the places where programs keep models."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from bitstation.core.adopted import (
    MAX_RECORD_BYTES,
    Adopted,
    encode_adopted,
    parse_adopted,
    stated_digest,
)
from bitstation.core.blockmap import BlockMap, Cut, parse_blockmap
from bitstation.core.digest import Digest, digest_of
from bitstation.errors import StoreCorrupt, StoreError, UpdateCancelled
from bitstation.storage import adopted as record
from bitstation.storage.adopted import adopted_files, adopted_map, forget, has_map, remember
from bitstation.storage.hashing import Stop
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.worker import search as searching
from bitstation.worker.places import known_places
from bitstation.worker.search import Findings, search

MIB = 1024 * 1024
DISK = QuickDisk()


@pytest.fixture
def root(tmp_path: Path) -> ToolsRoot:
    return ToolsRoot(tmp_path / "tools")


def row(path: Path, data: bytes = b"1", *, link: bool = False) -> Adopted:
    return Adopted(str(path), digest_of(data), len(data), link)


def map_of(data: bytes) -> BlockMap:
    digest = digest_of(data)
    head = b"BSBM\x01\x00" + bytes.fromhex(digest) + bytes([len(data), 1, len(data)])
    return parse_blockmap(head + bytes.fromhex(digest) + b"\x00")


# --- the record ---------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [row(tmp_path / "b"), row(tmp_path / "añ", link=True)]
    parsed = parse_adopted(encode_adopted(rows))
    assert parsed == tuple(sorted(rows, key=lambda each: each.path))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"adopted_version": 2, "files": []}',
        b'{"files": [{"path": "", "sha256": "' + b"0" * 64 + b'", "size": 1}]}',
        b'{"files": [{"path": "/a\\u0000b", "sha256": "' + b"0" * 64 + b'", "size": 1}]}',
        b'{"files": [{"path": "/a", "sha256": "' + b"0" * 63 + b'", "size": 1}]}',
        b'{"files": [{"path": "/a", "sha256": "' + b"0" * 64 + b'", "size": -1}]}',
        b'{"files": [{"path": "/a\xff", "sha256": "' + b"0" * 64 + b'", "size": 1}]}',
        b" " * (MAX_RECORD_BYTES + 1),
    ],
)
def test_a_damaged_record_is_told(data: bytes) -> None:
    with pytest.raises(StoreCorrupt):
        parse_adopted(data)


def test_a_damaged_record_is_begun_anew(root: ToolsRoot, tmp_path: Path) -> None:
    remember(root, [row(tmp_path / "a")], {}, DISK)
    root.adopted.write_bytes(b"torn")
    assert adopted_files(root) == []
    remember(root, [row(tmp_path / "b")], {}, DISK)
    assert adopted_files(root) == [row(tmp_path / "b")]


def test_a_row_that_is_no_absolute_path_is_not_used(root: ToolsRoot, tmp_path: Path) -> None:
    remember(root, [row(tmp_path / "a"), row(Path("relative"))], {}, DISK)
    assert adopted_files(root) == [row(tmp_path / "a")]


def test_a_file_adopted_again_has_one_row(root: ToolsRoot, tmp_path: Path) -> None:
    remember(root, [row(tmp_path / "a", b"old")], {}, DISK)
    remember(root, [row(tmp_path / "a", b"newer", link=True), row(tmp_path / "b")], {}, DISK)
    assert adopted_files(root) == [row(tmp_path / "a", b"newer", link=True), row(tmp_path / "b")]


def test_commands_side_by_side_lose_no_rows(root: ToolsRoot, tmp_path: Path) -> None:
    def add(number: int) -> None:
        for each in range(5):
            remember(root, [row(tmp_path / f"{number}-{each}")], {}, DISK)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(adopted_files(root)) == 20


def test_too_many_rows_are_refused_and_the_record_stays(
    root: ToolsRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(root, [row(tmp_path / "a")], {}, DISK)
    monkeypatch.setattr(record, "MAX_ADOPTED", 2)
    with pytest.raises(StoreError, match="more than 2 files"):
        remember(root, [row(tmp_path / name) for name in "bcd"], {}, DISK)
    assert adopted_files(root) == [row(tmp_path / "a")]


def test_what_is_forgotten_takes_its_map_along(root: ToolsRoot, tmp_path: Path) -> None:
    rows = [row(tmp_path / "a", b"1"), row(tmp_path / "b", b"22"), row(tmp_path / "c", b"1")]
    maps = {digest_of(data): map_of(data) for data in (b"1", b"22")}
    remember(root, rows, maps, DISK)
    assert adopted_map(root, digest_of(b"22")) == maps[digest_of(b"22")]

    gone = forget(root, lambda path: path.name in "ab", DISK)

    assert sorted(gone, key=lambda each: each.path) == rows[:2]
    assert adopted_files(root) == rows[2:]
    assert not has_map(root, digest_of(b"22"))
    # Another adopted file has the same content.
    assert has_map(root, digest_of(b"1"))


@pytest.mark.parametrize("data", [b"", b"no map"])
def test_a_damaged_map_is_none(root: ToolsRoot, tmp_path: Path, data: bytes) -> None:
    remember(root, [row(tmp_path / "a", b"1")], {digest_of(b"1"): map_of(b"1")}, DISK)
    (root.maps / f"{digest_of(b'1')}.map").write_bytes(data)
    assert adopted_map(root, digest_of(b"1")) is None


def test_a_map_of_another_file_is_none(root: ToolsRoot, tmp_path: Path) -> None:
    remember(root, [row(tmp_path / "a", b"1")], {digest_of(b"1"): map_of(b"22")}, DISK)
    assert map_of(b"22").cut is Cut.WHOLE
    assert adopted_map(root, digest_of(b"1")) is None


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("sha256-" + "ab" * 32, "ab" * 32),
        ("ab" * 32, "ab" * 32),
        ("sha256-" + "AB" * 32, None),
        ("sha256-" + "ab" * 31, None),
        ("model.gguf", None),
    ],
)
def test_a_name_may_state_a_digest(name: str, stated: Digest | None) -> None:
    assert stated_digest(name) == stated


# --- the search ---------------------------------------------------------------------------------


def made(path: Path, data: bytes = b"x" * MIB) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(findings: Findings) -> list[str]:
    return [found.path.name for found in findings.files]


def test_large_plain_files_are_found_at_any_depth(tmp_path: Path, root: ToolsRoot) -> None:
    made(tmp_path / "m/a.gguf")
    made(tmp_path / "m/deep/er/b.bin")
    made(tmp_path / "m/small.txt", b"x" * (MIB - 1))
    found = search([tmp_path / "m"], own=root.path)
    assert names(found) == ["a.gguf", "b.bin"]
    assert [each.facts.size for each in found.files] == [MIB, MIB]
    assert names(search([tmp_path / "m"], min_bytes=1, own=root.path)) == [
        "a.gguf",
        "b.bin",
        "small.txt",
    ]


def test_a_file_that_is_named_is_found(tmp_path: Path, root: ToolsRoot) -> None:
    path = made(tmp_path / "m/a.gguf")
    assert search([path, path, tmp_path / "m"], own=root.path).files[0].path == path.resolve()
    assert len(search([path, path, tmp_path / "m"], own=root.path).files) == 1


def test_of_two_names_of_one_file_the_first_is_taken(tmp_path: Path, root: ToolsRoot) -> None:
    made(tmp_path / "m/b.gguf")
    os.link(tmp_path / "m/b.gguf", tmp_path / "m/a.gguf")
    assert names(search([tmp_path / "m"], own=root.path)) == ["a.gguf"]


def test_downloads_under_way_are_left_alone(tmp_path: Path, root: ToolsRoot) -> None:
    for name in ("a.incomplete", "sha256-ab-partial", "b.part", "c.crdownload"):
        made(tmp_path / "m" / name)
    assert search([tmp_path / "m"], own=root.path) == Findings((), (), 0, ())


def test_the_tools_root_itself_is_left_out(tmp_path: Path, root: ToolsRoot) -> None:
    made(root.path / "tool/releases/v1/a.gguf")
    made(tmp_path / "b.gguf")
    assert names(search([tmp_path], own=root.path)) == ["b.gguf"]
    assert names(search([root.path, root.path / "tool/releases/v1"], own=root.path)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: links without a privilege")
def test_links_are_not_followed_but_where_they_are_named(tmp_path: Path, root: ToolsRoot) -> None:
    blob = made(tmp_path / "elsewhere/blob")
    (tmp_path / "m").mkdir()
    (tmp_path / "m/link.gguf").symlink_to(blob)
    (tmp_path / "m/folder").symlink_to(blob.parent)
    (tmp_path / "m/loop").symlink_to(tmp_path / "m")
    found = search([tmp_path / "m"], own=root.path)
    assert (found.files, found.links) == ((), 3)
    named = search([tmp_path / "m/link.gguf"], own=root.path)
    assert [each.path for each in named.files] == [blob.resolve()]


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: pipes with a name")
def test_what_is_no_plain_file_is_not_opened(tmp_path: Path, root: ToolsRoot) -> None:
    (tmp_path / "m").mkdir()
    os.mkfifo(tmp_path / "m/pipe")
    assert search([tmp_path / "m"], min_bytes=1, own=root.path).files == ()


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: names of any bytes")
def test_a_name_that_is_no_text_is_told(tmp_path: Path, root: ToolsRoot) -> None:
    made(tmp_path / "m" / os.fsdecode(b"a\xff.gguf"))
    found = search([tmp_path / "m"], own=root.path)
    assert found.files == ()
    assert [why for _path, why in found.left_out] == ["name"]


def test_a_folder_that_cannot_be_read_is_told_and_the_rest_found(
    tmp_path: Path, root: ToolsRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "m/a.gguf")
    made(tmp_path / "m/locked/b.gguf")
    real = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "denied", str(path))
        return real(path)

    monkeypatch.setattr(searching.os, "scandir", refuse)
    found = search([tmp_path / "m"], own=root.path)
    assert names(found) == ["a.gguf"]
    assert [(Path(path).name, why) for path, why in found.left_out] == [("locked", "denied")]


def test_depth_and_names_have_bounds_that_are_told(
    tmp_path: Path, root: ToolsRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MAX_DEPTH", 2)
    made(tmp_path / "m/1/2/3/a.gguf")
    made(tmp_path / "m/1/2/b.gguf")
    found = search([tmp_path / "m"], own=root.path)
    assert names(found) == ["b.gguf"]
    assert [why for _path, why in found.left_out] == ["too-deep"]
    monkeypatch.setattr(searching, "MAX_NAMES", 3)
    for name in "cdefg":
        made(tmp_path / f"m/{name}.gguf")
    found = search([tmp_path / "m"], own=root.path)
    assert len(found.files) <= 3
    assert [why for _path, why in found.left_out] == ["too-many"]


def test_a_search_stops_when_asked(tmp_path: Path, root: ToolsRoot) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(UpdateCancelled):
        search([tmp_path], own=root.path, stop=stop)


# --- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "hub"),
    [
        ({}, ".cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "~/x"}, "x/huggingface/hub"),
        ({"HF_HOME": "~/hf", "XDG_CACHE_HOME": "~/x"}, "hf/hub"),
        ({"HF_HUB_CACHE": "~/cache", "HF_HOME": "~/hf"}, "cache"),
        ({"HUGGINGFACE_HUB_CACHE": "~/older"}, "older"),
    ],
)
def test_the_cache_of_hugging_face_is_where_its_settings_say(
    tmp_path: Path, environ: dict[str, str], hub: str
) -> None:
    assert known_places(environ, tmp_path)[0] == tmp_path / hub


def test_ollama_and_lm_studio_have_their_places(tmp_path: Path) -> None:
    chosen = tmp_path / "blobs-of-mine"
    places = known_places({"OLLAMA_MODELS": str(chosen)}, tmp_path)
    expected = [".ollama/models", ".lmstudio/models", ".cache/lm-studio/models"]
    assert {chosen, *(tmp_path / place for place in expected)} <= set(places)
    assert known_places({"OLLAMA_MODELS": "relative"}, tmp_path) == known_places({}, tmp_path)
