"""Packages: reproducible, proved before they get their names; a version keeps its content."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bitstation.core.catalog import parse_catalog
from bitstation.core.digest import digest_of
from bitstation.core.names import version_key
from bitstation.errors import (
    UsageError,
)
from bitstation.publisher.manifest import MakingOptions
from bitstation.transport.package import PackageSource
from tests.engine.publisher_tools import FILES, pack, write_tool

ZIP = "tool_sample_1.0.0.zip"
PAGES = {"frontend/index.html": b"<p>\n", "frontend/js/app.js": b"1\n"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    return write_tool(tmp_path / "tools" / "sample", {**FILES, **PAGES}, has_frontend=True)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "dist"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_guide_beside_a_package_is_made_once_and_again_when_it_is_lost(
    tool: Path, out: Path
) -> None:
    pack(out, tool)
    guide = out / "tool_sample_1.0.0.guide"
    before, made_at = guide.read_bytes(), guide.stat().st_mtime_ns
    assert PackageSource(out / ZIP).resolve(None, None).guidance.atlas_bytes
    pack(out, tool)
    assert guide.stat().st_mtime_ns == made_at
    guide.unlink()
    assert PackageSource(out / ZIP).resolve(None, None).guidance.atlas_bytes == b""
    pack(out, tool)
    assert guide.read_bytes() == before


# --- what is written -------------------------------------------------------------------------


def test_what_a_publication_holds(tool: Path, out: Path) -> None:
    (packed,) = pack(out, tool, release_tag="v1", download_base="https://example.org/dl/")
    assert names_in(out) == [
        "catalog.json",
        "checksums.sha256",
        "frontend_sample_1.0.0.zip",
        "tool_sample_1.0.0.guide",
        "tool_sample_1.0.0.manifest.json",
        ZIP,
    ]
    listed = (out / "checksums.sha256").read_text("utf-8").splitlines()
    guide = (out / "tool_sample_1.0.0.guide").read_bytes()
    assert f"{digest_of(guide)}  tool_sample_1.0.0.guide" in listed
    data = (out / ZIP).read_bytes()
    with zipfile.ZipFile(out / ZIP) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", *sorted([*FILES, *PAGES, "tool.json"])]
        assert (
            archive.read("manifest.json") == (out / "tool_sample_1.0.0.manifest.json").read_bytes()
        )
        for name, body in FILES.items():
            info = archive.getinfo(name)
            assert archive.read(name) == body
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.create_system == 3
            executable = name.endswith((".py", ".sh", ".ps1"))
            assert info.external_attr >> 16 == stat.S_IFREG | (0o755 if executable else 0o644)
            assert info.compress_type == (0 if name.endswith(".bin") else 8)
    with zipfile.ZipFile(out / "frontend_sample_1.0.0.zip") as archive:
        assert archive.namelist() == ["index.html", "js/app.js"]
        frontend = digest_of((out / "frontend_sample_1.0.0.zip").read_bytes())
    catalog = parse_catalog((out / "catalog.json").read_bytes())
    assert json.loads((out / "catalog.json").read_bytes()) == {
        "catalog_version": "2026.02.28",
        "release_tag": "v1",
        "tools": [
            {
                "tool_id": "sample",
                "name": "Sample",
                "latest": "1.0.0",
                "asset_name": ZIP,
                "sha256": digest_of(data),
                "size": len(data),
                "manifest_hash": packed.plan.manifest.manifest_hash,
                "platforms": ["windows", "linux"],
                "has_frontend": True,
                "download_url": f"https://example.org/dl/v1/{ZIP}",
                "frontend_url": "https://example.org/dl/v1/frontend_sample_1.0.0.zip",
                "frontend_sha256": frontend,
            }
        ],
    }
    assert catalog.tools[0].parts == ()


def test_checksums_are_of_every_asset_and_the_usual_tool_reads_them(tool: Path, out: Path) -> None:
    pack(out, tool, max_asset_bytes=100_000)
    lines = dict(
        reversed(line.split("  ")) for line in (out / "checksums.sha256").read_text().splitlines()
    )
    assert sorted(lines) == sorted(set(names_in(out)) - {"checksums.sha256"})
    assert lines == {name: digest_of((out / name).read_bytes()) for name in lines}
    if shutil.which("sha256sum"):
        subprocess.run(
            ["sha256sum", "--check", "--strict", "checksums.sha256"], cwd=out, check=True
        )


def test_without_a_tag_or_a_base_there_are_no_addresses(tool: Path, out: Path) -> None:
    for options in ({}, {"release_tag": "v1"}, {"download_base": "https://example.org"}):
        pack(out, tool, **options)
        row = parse_catalog((out / "catalog.json").read_bytes()).tools[0]
        assert row.download_url is row.frontend_url is None


def test_unlisted_files_never_ship(tool: Path, out: Path) -> None:
    for name in ("user_data/secret.txt", ".env", "output/test.json", "temp.log", "manifest.json"):
        (tool / name).parent.mkdir(exist_ok=True)
        (tool / name).write_bytes(b"not for others")
    pack(out, tool)
    with zipfile.ZipFile(out / ZIP) as archive:
        assert set(archive.namelist()) == {"manifest.json", "tool.json", *FILES, *PAGES}
        assert not any(b"not for others" in archive.read(name) for name in archive.namelist())


def test_the_same_tree_gives_the_same_publication(tool: Path, tmp_path: Path) -> None:
    pack(tmp_path / "one", tool)
    other = tmp_path / "elsewhere" / "sample"
    for path in sorted(tool.rglob("*"), reverse=True):
        if path.is_file():
            target = other / path.relative_to(tool)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            os.utime(target, (10**9, 10**9))
            target.chmod(0o600 if path.suffix == ".py" else 0o755)
    pack(tmp_path / "two", other)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_packing_again_changes_nothing(tool: Path, out: Path) -> None:
    undated = MakingOptions()
    pack(out, tool, making=undated)
    before = tree(out)
    pack(out, tool, making=undated)
    assert tree(out) == before


def is_new(*args: Any, **options: Any) -> bool:
    (packed,) = pack(*args, **options)
    return packed.is_new


def test_what_is_packed_already_is_not_packed_again(tool: Path, out: Path) -> None:
    assert is_new(out, tool)
    assert not is_new(out, tool)
    assert is_new(out, tool, max_asset_bytes=200_000), "cut otherwise"
    assert not is_new(out, tool, max_asset_bytes=200_000)
    assert is_new(out, tool, max_asset_bytes=150_000)
    assert is_new(out, tool, making=MakingOptions(created_at="2026-03-01T00:00:00Z"))
    assert not is_new(out, tool, making=MakingOptions()), "dated as the one that lies there"


@pytest.mark.parametrize(
    "name", ["tool_sample_1.0.0.zip.002", "frontend_sample_1.0.0.zip", "catalog.json"]
)
def test_what_is_damaged_or_gone_is_packed_again(tool: Path, out: Path, name: str) -> None:
    pack(out, tool, max_asset_bytes=200_000)
    before = tree(out)
    (out / name).unlink()
    assert is_new(out, tool, max_asset_bytes=200_000)
    assert tree(out) == before
    if name != "catalog.json":
        (out / name).write_bytes(before[name][:-1] + b"?")
        assert is_new(out, tool, max_asset_bytes=200_000)
        assert tree(out) == before


def test_several_tools_and_what_was_there_before(tool: Path, tmp_path: Path, out: Path) -> None:
    first = write_tool(tmp_path / "tools" / "first", tool_id="first")
    pack(out, first)
    pack(out, tool)
    second = write_tool(tmp_path / "tools" / "second", tool_id="second")
    pack(out, second, tool)
    catalog = parse_catalog((out / "catalog.json").read_bytes())
    assert [row.tool_id for row in catalog.tools] == ["first", "sample", "second"]
    listed = (out / "checksums.sha256").read_text()
    assert all(row.asset_name in listed for row in catalog.tools if row.asset_name)


def test_the_catalogue_keeps_the_newest(tmp_path: Path, out: Path) -> None:
    versions = ["1.10.0", "1.9.0", "1.10.0-rc.1", "1.11.0"]
    for number, version in enumerate(versions):
        pack(out, write_tool(tmp_path / str(number) / "sample", version=version))
        catalog = parse_catalog((out / "catalog.json").read_bytes())
        assert catalog.tools[0].latest == max(versions[: number + 1], key=version_key)
    assert {f"tool_sample_{version}.zip" for version in versions} <= set(names_in(out))


# --- parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("max_bytes", [5000, 10_001, 100_000])
def test_long_packages_are_cut_and_read_as_one(tool: Path, tmp_path: Path, max_bytes: int) -> None:
    pack(tmp_path / "whole", tool)
    pack(tmp_path / "cut", tool, max_asset_bytes=max_bytes)
    parts = sorted((tmp_path / "cut").glob("*.zip.*"))
    assert len(parts) > 1
    assert all(part.stat().st_size <= max_bytes for part in parts)
    whole = (tmp_path / "whole" / ZIP).read_bytes()
    assert b"".join(part.read_bytes() for part in parts) == whole
    row = parse_catalog((tmp_path / "cut" / "catalog.json").read_bytes()).tools[0]
    assert row.sha256 == digest_of(whole)
    assert [(part.name, part.size, part.sha256) for part in row.parts] == [
        (part.name, part.stat().st_size, digest_of(part.read_bytes())) for part in parts
    ]
    source = PackageSource(tmp_path / "cut" / ZIP)
    for entry in source.resolve("sample", None).manifest.entries:
        source.read_object(entry.sha256, 10**6)


def test_cut_otherwise_nothing_of_the_earlier_cut_stays(tool: Path, out: Path) -> None:
    def assets() -> list[str]:
        return [name for name in names_in(out) if name.startswith(ZIP)]

    pack(out, tool, max_asset_bytes=50_000)
    assert len(assets()) > 5
    pack(out, tool, max_asset_bytes=200_000)
    assert assets() == [f"{ZIP}.00{number}" for number in (1, 2, 3)]
    pack(out, tool)
    assert assets() == [ZIP]


def test_pages_that_are_longer_than_an_asset_are_refused(tmp_path: Path, out: Path) -> None:
    pages = {**FILES, "frontend/big.bin": os.urandom(5000)}
    with pytest.raises(UsageError, match="frontend_sample"):
        pack(out, write_tool(tmp_path / "sample", pages), max_asset_bytes=4000)
    assert names_in(out) == []
