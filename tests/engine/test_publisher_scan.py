"""What of a folder becomes a release, what does not and why, and what is refused."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from bitstation.core.digest import digest_of
from bitstation.errors import ToolFolderInvalid
from bitstation.publisher.scan import scan_tool, tool_folders
from bitstation.publisher.validate import raise_faults
from tests.engine.publisher_tools import FILES, checked, faults_of, write_tool

posix = pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: such a file cannot be")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    return write_tool(tmp_path / "sample")


def put(folder: Path, name: str, data: bytes = b"x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def put_or_skip(folder: Path, name: str) -> None:
    """A file whose name some systems cannot hold."""
    try:
        path = put(folder, name)
    except OSError:
        pytest.skip("only on Linux: this volume holds no such name")
    if name.rpartition("/")[2] not in [found.name for found in path.parent.iterdir()]:
        pytest.skip("only on Linux: this volume changes such a name")


def test_every_file_in_order_whatever_its_size_and_suffix(tool: Path) -> None:
    put(tool, "models/big.gguf", bytes(1_000_000))
    put(tool, "temp/weights.safetensors")
    inventory = scan_tool(tool)
    assert inventory.paths == sorted(
        [*FILES, "tool.json", "models/big.gguf", "temp/weights.safetensors"]
    )
    assert inventory.faults == inventory.left_out == ()


def test_what_is_left_out_and_why(tool: Path) -> None:
    for name in (
        *("venv/bin/python", ".venv/x", "cache/x", "logs/today.txt", "user_data/song.mp3"),
        *("output/x.png", "uploads/x", "src/__pycache__/m.pyc", "deep/node_modules/p/i.js"),
        *("run.log", ".env", "config.local.json", ".git/HEAD", "src/.DS_Store", "Thumbs.db"),
        *("manifest.json", "tool.json.bitstation-tmp"),
    ):
        put(tool, name)
    (tool / "nothing").mkdir()
    inventory = scan_tool(tool)
    assert set(inventory.paths) == {*FILES, "tool.json"}
    assert dict(inventory.left_out) == {
        "src/.DS_Store": "litter (.ds_store)",
        ".env": "user (.env)",
        ".git/": "litter (.git/)",
        ".venv/": "runtime (.venv/)",
        "Thumbs.db": "litter (thumbs.db)",
        "cache/": "runtime (cache/)",
        "config.local.json": "user (config.local.*)",
        "deep/node_modules/": "runtime (node_modules/)",
        "logs/": "runtime (logs/)",
        "manifest.json": "manifest (manifest.json)",
        "nothing/": "empty folder",
        "output/": "user (output/)",
        "run.log": "runtime (*.log)",
        "src/__pycache__/": "runtime (__pycache__/)",
        "tool.json.bitstation-tmp": "litter (*.bitstation-tmp)",
        "uploads/": "user (uploads/)",
        "user_data/": "user (user_data/)",
        "venv/": "runtime (venv/)",
    }


def test_scopes_look_at_the_path_inside_the_tool_only(tmp_path: Path) -> None:
    # In the original, a checkout below a folder called temp silently lost every file.
    folder = write_tool(tmp_path / "venv" / "temp" / "__pycache__" / "sample")
    assert set(scan_tool(folder).paths) == {*FILES, "tool.json"}


def test_scope_folders_count_at_the_top_only(tool: Path) -> None:
    put(tool, "src/cache/table.py")
    put(tool, "assets/output/icon.svg")
    assert {"src/cache/table.py", "assets/output/icon.svg"} <= set(scan_tool(tool).paths)


@posix
def test_links_are_refused_and_never_followed(tool: Path, tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/secret.txt")
    (tool / "file-link").symlink_to(tmp_path / "elsewhere" / "secret.txt")
    (tool / "folder-link").symlink_to(tmp_path / "elsewhere")
    (tool / "dangling").symlink_to("nowhere")
    (tool / "src").mkdir()
    (tool / "src" / "loop").symlink_to(tool)
    inventory = scan_tool(tool)
    assert set(inventory.paths) == {*FILES, "tool.json"}
    for name in ("file-link", "folder-link", "dangling", "src/loop"):
        assert f"{name!r} is a link: a release holds plain files only" in inventory.faults


@posix
def test_a_linked_environment_is_left_out_like_any(tool: Path, tmp_path: Path) -> None:
    (tool / "venv").symlink_to(tmp_path)
    (tool / "output").symlink_to(tmp_path)
    inventory = scan_tool(tool)
    assert inventory.faults == ()
    assert [row.path for row in inventory.left_out] == ["output", "venv"]


@posix
def test_pipes_and_sockets_are_refused(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tool / "pipe")
    monkeypatch.chdir(tool)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        faults = scan_tool(tool).faults
    assert [fault.partition(" is a")[0] for fault in faults] == ["'pipe'", "'socket'"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("nul.txt", "reserved"),
        ("a/COM1", "reserved"),
        ("dot.", "dot or a space"),
        ("a:b", "not allowed"),
        ("a\\b", "not allowed"),
        ("e\u0301.txt", "NFC"),
        ("x\u200b.txt", "invisible"),
        ("bad\udcff.txt", "surrogate"),
        ("line\nbreak", "not allowed"),
        ("current.txt", "control name"),
        ("x" * 255 + "/" + "y" * 255 + "/" + "z" * 255 + "/" + "w" * 255 + "/v", "longer than"),
    ],
)
def test_unsafe_paths_are_named(tool: Path, name: str, word: str) -> None:
    put_or_skip(tool, name)
    faults = [fault for fault in scan_tool(tool).faults if word in fault or "backslash" in fault]
    assert len(faults) == 1


def test_twins_are_named(tool: Path) -> None:
    put_or_skip(tool, "MAIN.py")
    put_or_skip(tool, "Runner/other.py")
    if (tool / "MAIN.py").samefile(tool / "main.py"):
        pytest.skip("needs a case-sensitive volume")
    text = "; ".join(scan_tool(tool).faults)
    assert "'main.py' collides with 'MAIN.py'" in text
    assert "folder 'runner' collides with folder 'Runner'" in text


def test_a_faulty_folder_is_told_once_and_what_lies_below_is_judged_too(tool: Path) -> None:
    put_or_skip(tool, "aux/one.txt")
    put_or_skip(tool, "aux/two.txt")
    put_or_skip(tool, "aux/nul.txt")
    faults = scan_tool(tool).faults
    assert [fault.partition(":")[0] for fault in faults] == ["'aux'", "'aux/nul.txt'"]


@posix
@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="not as root")
def test_what_may_not_be_read_is_named(tool: Path) -> None:
    put(tool, "secret.txt").chmod(0)
    put(tool, "closed/x")
    (tool / "closed").chmod(0)
    try:
        faults = "; ".join(scan_tool(tool).faults)
    finally:
        (tool / "closed").chmod(0o755)
    assert "'secret.txt' cannot be read" in faults
    assert "'closed/' cannot be read" in faults


def test_an_absent_folder(tmp_path: Path) -> None:
    assert "cannot be read" in "; ".join(scan_tool(tmp_path / "nowhere").faults)


# --- validate --------------------------------------------------------------------------------


def test_a_sound_tool_has_no_faults(tool: Path) -> None:
    with checked(tool) as (found,):
        assert found.faults == found.warnings == ()
        assert found.name == "sample"


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    folder = write_tool(
        tmp_path / "sample",
        {"readme.md": b"x", "frontend-not/x": b""},
        version="v1",
        tool_id="Sample",
        platforms=[],
        has_frontend="yes",
    )
    put(folder, "models.lock.json", b"[{}]")
    put_or_skip(folder, "aux.txt")
    text = faults_of(folder)
    for part in ("has_frontend", "models.lock.json: [0]", "'aux.txt'"):
        assert part in text
    folder = write_tool(folder, version="v1", tool_id="Sample", platforms=[])
    text = faults_of(folder)
    for part in ("tool_id 'Sample'", "version 'v1'", "platforms", "models.lock.json", "aux.txt"):
        assert part in text


def test_entry_points_and_warm_up_must_be_in_the_release(tmp_path: Path) -> None:
    folder = write_tool(
        tmp_path / "sample",
        entrypoint_windows="runner/Run.ps1",
        entrypoint_posix="runner/absent.sh",
        flash_gpu_config={"warmup_script": "cache/warm.py"},
    )
    put(folder, "cache/warm.py")
    text = faults_of(folder)
    assert "entrypoint_windows 'runner/Run.ps1' is spelt 'runner/run.ps1' in the release" in text
    assert "entrypoint_posix 'runner/absent.sh' is not in the release" in text
    assert "flash_gpu_config.warmup_script 'cache/warm.py' is not in the release" in text


def test_pages_that_are_promised_must_be_there(tmp_path: Path) -> None:
    folder = write_tool(tmp_path / "sample", has_frontend=True)
    assert "there is no file in frontend/" in faults_of(folder)
    put(folder, "frontend/index.html")
    assert faults_of(folder) == ""


def test_an_empty_release(tmp_path: Path) -> None:
    folder = write_tool(tmp_path / "sample", {"venv/x": b"", "run.log": b""})
    assert "the release is empty" in faults_of(folder)


def test_no_tool_file(tmp_path: Path) -> None:
    put(tmp_path / "sample", "main.py")
    assert "tool.json: cannot be read" in faults_of(tmp_path / "sample")


def lock(folder: Path, **changes: object) -> None:
    right = {"path": "models/x.gguf", "sha256": digest_of(b"xxxxx"), "size": 5}
    row = {**right, "url": "https://h/x", **changes}
    put(folder, "models.lock.json", json.dumps([row]).encode())


def test_locked_models_must_be_there_and_be_what_they_are(tool: Path) -> None:
    lock(tool)
    assert "locked model 'models/x.gguf' is missing" in faults_of(tool)
    put(tool, "models/x.gguf", b"xxxx")
    assert "has 4 bytes, its lock says 5" in faults_of(tool)
    put(tool, "models/x.gguf", b"yyyyy")
    assert "has SHA-256" in faults_of(tool)


def test_a_locked_model_that_is_right(tool: Path) -> None:
    lock(tool)
    put(tool, "models/x.gguf", b"xxxxx")
    assert faults_of(tool) == ""


def test_ids_that_are_equal_are_a_fault_of_both(tmp_path: Path) -> None:
    folders = [write_tool(tmp_path / "one"), write_tool(tmp_path / "two")]
    with checked(*folders) as tools:
        assert ["is that of" in tool.faults[0] for tool in tools] == [True, True]
        with pytest.raises(ToolFolderInvalid) as caught:
            raise_faults(tools)
    assert len(caught.value.faults) == 2
    assert caught.value.exit_code == 30


def test_another_folder_name_is_worth_a_word(tmp_path: Path) -> None:
    with checked(write_tool(tmp_path / "Sample-Tool")) as (tool,):
        assert tool.faults == ()
        assert "'Sample-Tool'" in tool.warnings[0]


def test_windows_line_ends_are_worth_a_word_and_bytes_stay(tool: Path) -> None:
    put(tool, "main.py", b"print(1)\r\nprint(2)\r\n")
    put(tool, "start.bat", b"@echo off\r\n")
    put(tool, "data.bin", b"\r\n")
    with checked(tool) as (found,):
        assert found.faults == ()
        (warning,) = found.warnings
    assert "1 text files have CR LF line ends (main.py)" in warning
    assert (tool / "main.py").read_bytes() == b"print(1)\r\nprint(2)\r\n"


def test_folders_of_tools_are_those_with_a_tool_file(tmp_path: Path) -> None:
    write_tool(tmp_path / "b")
    write_tool(tmp_path / "a")
    put(tmp_path, "c/readme.md")
    assert tool_folders(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert tool_folders(tmp_path / "absent") == []
