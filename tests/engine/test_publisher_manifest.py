"""Manifests of tool folders: deterministic, dated as the contract says, cheap the second time."""

from __future__ import annotations

import json
import locale
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from bitstation.core.manifest import DEFAULT_BASE_URL, Manifest, parse_manifest
from bitstation.errors import ManifestError, ToolFolderInvalid, UsageError
from bitstation.publisher import manifest as making
from bitstation.publisher.cache import open_ledger
from bitstation.publisher.manifest import (
    MakingOptions,
    make_manifest,
    making_options,
    save_manifest,
)
from bitstation.publisher.validate import check_tools
from bitstation.storage.durable import Disk
from tests.engine.publisher_tools import FILES, MAKING, MOMENT, checked, write_tool


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("BITSTATION_FILES_BASE_URL", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    return write_tool(tmp_path / "sample")


def made(folder: Path, options: MakingOptions = MAKING) -> Manifest:
    with checked(folder) as (tool,):
        return make_manifest(tool, options)


def saved(folder: Path, options: MakingOptions = MAKING) -> bool:
    with checked(folder) as (tool,):
        return save_manifest(tool, make_manifest(tool, options), Disk())


def test_what_a_manifest_says(tmp_path: Path) -> None:
    folder = write_tool(
        tmp_path / "sample",
        executables=["bin/**"],
        dependencies={"python_min": "3.10"},
        flash_gpu_config={"enabled": True, "warmup_script": "main.py", "vram_min_mb": 1},
        frontend={"type": "web", "entry": "index.html"},
        api_contract="toolbridge/1",
        capabilities=["supports_gpu_flash"],
        delete_policy="manual",
        ignore_globs=["*.tmp"],
        files={**FILES, "bin/tool": b"\x7fELF", "setup": b"", "sub/RUN": b""},
    )
    document = json.loads(made(folder).encode())
    files = document.pop("files")
    assert [row["path"] for row in files] == sorted(row["path"] for row in files)
    assert [row["path"] for row in files if row.get("executable")] == [
        *("bin/tool", "main.py", "runner/run.ps1", "runner/run.sh", "setup", "sub/RUN")
    ]
    assert all(row.get("executable") in (True, None) for row in files)
    accented = next(row for row in files if row["path"].startswith("docs"))
    assert accented["url"] == (
        f"{DEFAULT_BASE_URL}sample/1.0.0/files/docs/%C3%A9t%C3%A9%20caf%C3%A9.md"
    )
    del document["manifest_hash"]
    assert document == {
        "manifest_version": "1.0",
        "tool_id": "sample",
        "tool_version": "1.0.0",
        "created_at": MOMENT,
        "delete_policy": "manual",
        "ignore_globs": ["*.tmp"],
        "dependencies": {"python_min": "3.10"},
        "flash_gpu_config": {"enabled": True, "warmup_script": "main.py", "vram_min_mb": 1},
        "frontend": {"type": "web", "entry": "index.html"},
        "api_contract": "toolbridge/1",
        "capabilities": ["supports_gpu_flash"],
    }


def test_the_file_is_utf8_without_bom_with_unix_lines_and_never_lists_itself(tool: Path) -> None:
    assert saved(tool)
    data = (tool / "manifest.json").read_bytes()
    assert "\u00e9t\u00e9 caf\u00e9".encode() in data
    assert b"\r" not in data
    assert data.startswith(b'{\n  "manifest_version"')
    assert "manifest.json" not in [entry.path for entry in parse_manifest(data).entries]
    assert not saved(tool), "the second time it lists what the first wrote"


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    names = sorted(FILES, reverse=True)
    one = write_tool(tmp_path / "a" / "sample")
    other = write_tool(tmp_path / "b" / "sample", {name: FILES[name] for name in names})
    for number, path in enumerate(sorted(other.rglob("*"))):
        os.utime(path, (number, number))
        path.chmod(0o755 if path.is_dir() or number % 2 else 0o600)
    assert made(one).encode() == made(other).encode()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: locales are named otherwise")
@pytest.mark.parametrize("name", ["C", "C.UTF-8"])
def test_the_locale_changes_nothing(tool: Path, name: str) -> None:
    expected = made(tool).encode()
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, name)
        assert made(tool).encode() == expected
    finally:
        locale.setlocale(locale.LC_ALL, before)


def test_another_base_url_is_another_release(tool: Path) -> None:
    other = made(tool, MakingOptions("https://example.org/files", MOMENT))
    assert other.manifest_hash != made(tool).manifest_hash
    assert other.entries[0].url.startswith("https://example.org/files/sample/1.0.0/files/")


# --- options ---------------------------------------------------------------------------------


def test_where_the_base_url_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert making_options().base_url == DEFAULT_BASE_URL
    monkeypatch.setenv("BITSTATION_FILES_BASE_URL", "https://env.example/")
    assert making_options().base_url == "https://env.example/"
    assert making_options("http://arg.example/").base_url == "http://arg.example/"


@pytest.mark.parametrize(
    "url", ["file:///etc/", "ftp://h/", "h/x", "https://", "https://u:p@h/", "https://h/?a", "x\n"]
)
def test_base_urls_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        making_options(url)


def test_where_the_moment_comes_from(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert making_options().created_at is None
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert making_options().created_at == "2023-11-14T22:13:20.000000+00:00"
    assert making_options(created_at=MOMENT).created_at == MOMENT
    assert made(tool, making_options()).created_at == "2023-11-14T22:13:20.000000+00:00"


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-02-28", "2026-02-28T12:00:00", MOMENT + "\n"]
)
def test_moments_that_are_refused(moment: str) -> None:
    with pytest.raises(UsageError):
        making_options(created_at=moment)


@pytest.mark.parametrize("epoch", ["tomorrow", "1e9", "99999999999999999999"])
def test_epochs_that_are_refused(epoch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(UsageError):
        making_options()


def test_an_equal_manifest_keeps_its_moment_and_another_does_not(tool: Path) -> None:
    saved(tool)
    again = made(tool, MakingOptions())
    assert again.created_at == MOMENT
    assert again.encode() == (tool / "manifest.json").read_bytes()
    (tool / "main.py").write_bytes(b"print('changed')\n")
    assert made(tool, MakingOptions()).created_at != MOMENT


def test_a_damaged_manifest_in_the_folder_is_replaced(tool: Path) -> None:
    (tool / "manifest.json").write_bytes(b"{")
    assert saved(tool)
    parse_manifest((tool / "manifest.json").read_bytes())


def test_the_same_version_may_change_before_it_is_published(tool: Path) -> None:
    saved(tool)
    (tool / "main.py").write_bytes(b"print('daily work')\n")
    assert saved(tool)


# --- refusals --------------------------------------------------------------------------------


def test_a_faulty_tool_gets_no_manifest(tool: Path) -> None:
    (tool / "runner" / "run.ps1").unlink()
    with pytest.raises(ToolFolderInvalid, match="entrypoint_windows"):
        made(tool)


def test_a_manifest_that_would_be_too_large(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "MAX_MANIFEST_BYTES", 1000)
    with pytest.raises(ManifestError, match="larger than 1000 bytes"):
        made(tool)


# --- hashing ---------------------------------------------------------------------------------


class Counter:
    """Counts what is hashed."""

    def __init__(self) -> None:
        self.announced: list[tuple[str, str, int]] = []
        self.done_bytes = 0

    def __call__(self, kind: str, subject: str, total_bytes: int):  # type: ignore[no-untyped-def]
        self.announced.append((kind, subject, total_bytes))
        return self._add

    def _add(self, count: int) -> None:
        self.done_bytes += count


def hashed_bytes(folder: Path) -> int:
    counter, ledger = Counter(), open_ledger()
    try:
        check_tools([folder], ledger, progress=counter)
    finally:
        ledger.close()
    assert sum(total for _kind, _subject, total in counter.announced) == counter.done_bytes
    return counter.done_bytes


def test_a_second_run_hashes_only_what_changed(tool: Path) -> None:
    size = sum(path.stat().st_size for path in tool.rglob("*") if path.is_file())
    assert hashed_bytes(tool) == size
    assert hashed_bytes(tool) == 0
    (tool / "main.py").write_bytes(b"print('other')\n")
    assert hashed_bytes(tool) == len(b"print('other')\n")
    assert hashed_bytes(tool) == 0


def test_a_change_that_keeps_size_and_time_is_seen(tool: Path) -> None:
    before = made(tool).manifest_hash
    path = tool / "models" / "m.bin"
    stamps = path.stat()
    time.sleep(0.02)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert made(tool).manifest_hash != before


def test_nothing_of_the_publisher_lies_in_the_tool_folder(tool: Path) -> None:
    before = sorted(tool.rglob("*"))
    made(tool)
    assert sorted(tool.rglob("*")) == before


def test_a_file_that_changes_while_it_is_hashed_is_told(tool: Path) -> None:
    path = tool / "models" / "m.bin"
    path.write_bytes(bytes(64_000_000))
    ended = threading.Event()

    def write() -> None:
        with path.open("r+b", buffering=0) as file:
            while not ended.is_set():
                file.write(b"x")
                file.seek(0)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(ToolFolderInvalid, match="changed while it was read"):
            made(tool)
    finally:
        ended.set()
        writer.join()
