"""Rules of the publisher that need no disk."""

from __future__ import annotations

import argparse

import pytest

from bitstation.cli.pack import parse_size
from bitstation.core.assets import (
    frontend_name,
    is_asset_name,
    manifest_name,
    package_name,
)
from bitstation.core.catalog import Catalog, CatalogTool, parse_catalog
from bitstation.errors import ToolFolderInvalid
from bitstation.publisher.catalog import merge_catalog
from bitstation.publisher.lock import is_web_address, parse_lock
from bitstation.publisher.manifest import is_executable
from bitstation.publisher.text import is_text
from bitstation.publisher.zip_writer import has_common_deflate

SHA = "0" * 64


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("runner/run.ps1", True),
        ("a/b.sh", True),
        ("main.py", True),
        ("MAIN.PY", True),
        ("run", True),
        ("deep/setup", True),
        ("run.txt", False),
        ("running", False),
        ("bin/tool", True),
        ("other/bin/tool", False),
        ("lib.so", False),
        ("x.elf", True),
        ("deep/x.elf", True),
    ],
)
def test_what_is_executable(path: str, expected: bool) -> None:
    assert is_executable(path, ["bin/**", "*.elf"]) is expected


@pytest.mark.parametrize("path", ["a.py", "A.JSON", "x/y.md", "run.ps1", "i.svg"])
def test_text_is_deflated(path: str) -> None:
    assert is_text(path)


@pytest.mark.parametrize("path", ["m.gguf", "m.safetensors", "x.png", "LICENSE", "a.py.bin", ".py"])
def test_anything_else_is_stored(path: str) -> None:
    assert not is_text(path)


def test_this_python_deflates_as_zlib_does() -> None:
    import zlib

    is_other = "ng" in getattr(zlib, "ZLIB_RUNTIME_VERSION", "") or hasattr(zlib, "ZLIBNG_VERSION")
    assert has_common_deflate() is not is_other


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1900000000", 1_900_000_000),
        ("1900MB", 1_900_000_000),
        ("1.9GiB", 2_040_109_465),
        ("2 kb", 2000),
        ("4KiB", 4096),
    ],
)
def test_sizes_in_words(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1TB", "1.5.5", "GB", "0.1"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_size(text)


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "file:///x", "FILE:///x", "ftp://h/x", "//h/x", "https://", "https:///x"),
        *("https://user@h/x", "https://u:p@h/x", "https://h/a b", "https://h/\n", "http://h:x/"),
        *("javascript:x", "data:,x", "https://h:99999/", "https://\u00e4.example/"),
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    assert not is_web_address(url)


@pytest.mark.parametrize("url", ["https://h/x?y=z", "http://127.0.0.1:8000/x", "https://[::1]/x"])
def test_addresses_that_are_taken(url: str) -> None:
    assert is_web_address(url)


# --- names and catalogue ---------------------------------------------------------------------


def test_names_of_assets() -> None:
    names = [
        rule("z-image-turbo", "2.4.1") for rule in (package_name, manifest_name, frontend_name)
    ]
    assert names == [
        "tool_z-image-turbo_2.4.1.zip",
        "tool_z-image-turbo_2.4.1.manifest.json",
        "frontend_z-image-turbo_2.4.1.zip",
    ]
    assert all(is_asset_name(name) for name in names)
    assert is_asset_name(package_name("a", "1.0.0-rc.1+b") + ".001")


@pytest.mark.parametrize(
    "name", ["catalog.json", "notes.txt", "tool_x.zip", "tool_x_1.0.0.zip.tmp"]
)
def test_names_of_others(name: str) -> None:
    assert not is_asset_name(name)


def row(tool_id: str, latest: str) -> CatalogTool:
    return CatalogTool(
        tool_id=tool_id,
        name=tool_id,
        latest=latest,
        asset_name=package_name(tool_id, latest),
        sha256=SHA,
        size=1,
        manifest_hash=SHA,
        platforms=("linux",),
        has_frontend=False,
    )


def test_a_new_catalogue_is_dated_by_its_releases() -> None:
    merged = merge_catalog(
        None, [row("b", "1.0.0"), row("a", "1.0.0")], day="2026.02.28", release_tag="v1"
    )
    assert merged.catalog_version == "2026.02.28"
    assert [tool.tool_id for tool in merged.tools] == ["a", "b"]
    assert parse_catalog(merged.encode()) == merged


def test_merging_never_goes_back() -> None:
    earlier = Catalog("2026.03.01", (row("a", "2.0.0"), row("b", "1.0.0")), "v5")
    merged = merge_catalog(
        earlier,
        [row("a", "1.9.0"), row("b", "1.0.1"), row("c", "0.1.0")],
        day="2026.02.28",
        release_tag=None,
    )
    assert merged.catalog_version == "2026.03.01"
    assert merged.release_tag == "v5"
    assert [(tool.tool_id, tool.latest) for tool in merged.tools] == [
        ("a", "2.0.0"),
        ("b", "1.0.1"),
        ("c", "0.1.0"),
    ]


# --- models.lock.json ------------------------------------------------------------------------


def lock_of(**changes: object) -> bytes:
    import json

    return json.dumps(
        [{"path": "models/m.gguf", "sha256": SHA, "size": 5, "url": "https://h/m", **changes}]
    ).encode()


def test_a_lock_is_read() -> None:
    (model,) = parse_lock(lock_of())
    assert (model.path, model.sha256, model.size, model.url) == (
        "models/m.gguf",
        SHA,
        5,
        "https://h/m",
    )
    assert parse_lock(b"[]") == ()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "not JSON"),
        (b"{}", "not a list"),
        (b"[1]", "not an object with exactly"),
        (b'[{"path": "a", "path": "b"}]', "stands twice"),
        (lock_of(sha265=SHA), "not an object with exactly"),
        (lock_of(path="../m"), "is not a name"),
        (lock_of(path=5), "not a string"),
        (lock_of(path="cache/m"), "runtime scope"),
        (lock_of(sha256="ABC"), "sha256"),
        (lock_of(size=-1), "size"),
        (lock_of(size=True), "size"),
        (lock_of(size="5"), "size"),
        (lock_of(url="file:///m"), "url is not"),
        (lock_of()[:-1] + b"," + lock_of()[1:], "listed twice"),
        (b" " * (1024 * 1024 + 1), "larger than"),
    ],
)
def test_locks_that_are_refused(data: bytes, word: str) -> None:
    with pytest.raises(ToolFolderInvalid, match=r"models\.lock\.json") as caught:
        parse_lock(data)
    assert word in str(caught.value)
