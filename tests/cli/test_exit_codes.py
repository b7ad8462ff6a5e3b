"""Every exit code that the command has today, each by a situation that brings it about."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bitstation.cli import history
from bitstation.testing.faulty_disk import FaultyDisk
from bitstation.testing.invariants import look_at
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.testing.web_server import said, serving
from bitstation.worker import fit
from bitstation.worker import run as engine
from tests.cli.conftest import NEW, OLD, OTHER, Bitstation, Ended, Shelf


def reason(ended: Ended) -> str:
    """First line for people about what went wrong."""
    return next(line for line in ended.err.splitlines() if line.startswith("✗"))


# --- 0, 1, 2 ------------------------------------------------------------------------------------


def test_0_what_was_asked_for_is_done(bitstation: Bitstation, shelf: Shelf, root: Path):
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD)).code == 0
    assert (root / TOOL_ID / "current.txt").read_text().strip() == "v1.0.0"
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD)).code == 0
    assert bitstation("verify", TOOL_ID, "--deep").code == 0


def test_1_what_nobody_expected(bitstation: Bitstation, monkeypatch: pytest.MonkeyPatch):
    def explode(_tree: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(history, "read_history", explode)
    ended = bitstation("history", TOOL_ID)
    assert (ended.code, ended.out) == (1, "")
    assert "RuntimeError: boom" in reason(ended)
    assert "Traceback" not in ended.err
    assert "Traceback" in bitstation("history", TOOL_ID, "-v").err


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: links need no privilege there")
def test_1_a_tools_root_that_is_made_strangely(
    bitstation: Bitstation, shelf: Shelf, root: Path, tmp_path: Path
):
    (tmp_path / "elsewhere").mkdir()
    root.mkdir()
    (root / ".bitstation").symlink_to(tmp_path / "elsewhere")
    ended = bitstation("update", TOOL_ID, "--from", shelf(OLD))
    assert ended.code == 1
    assert "is a link" in reason(ended)
    assert list((tmp_path / "elsewhere").iterdir()) == []


MISUSES = {
    "unknown command": ["nosuch"],
    "unknown verb": ["hq", "nosuch"],
    "unknown option": ["status", "--nosuch"],
    "shortened option": ["status", "--che"],
    "lacking argument": ["rollback"],
    "lacking option": ["eligibility", TOOL_ID],
    "lacking value": ["status", "--root"],
    "one word too many": ["rollback", TOOL_ID, "more"],
    "unknown language": ["status", "--lang", "fr"],
    "two sources": ["update", TOOL_ID, "--hq", "http://x", "--from", "y"],
    "no tool": ["update", "--from", "."],
    "no source": ["update", TOOL_ID],
    "no such source": ["update", TOOL_ID, "--from", "nosuch"],
    "no address": ["update", TOOL_ID, "--hq", "http://host:port"],
    "another scheme": ["list", "--hq", "ftp://host"],
    "no tool id": ["status", "../x"],
    "no tool id for HQ": ["hq", "require", "../x", "1.0.0", "--hq", "http://127.0.0.1:9"],
    "no hash": ["eligibility", TOOL_ID, "--require", "1.0.0", "--hash", "d2a91801"],
    "less than none": ["update", TOOL_ID, "--from", ".", "--keep", "-1"],
    "no number": ["update", TOOL_ID, "--from", ".", "--keep", "many"],
    "no manifests": ["manifest", "verify"],
    "no token file": ["publish", ".", "--hq", "http://127.0.0.1:9", "--token-file", "nosuch"],
    "no folder": ["models", "fetch", "nosuch"],
}


@pytest.mark.parametrize("words", MISUSES.values(), ids=MISUSES)
def test_2_words_that_make_no_sense(bitstation: Bitstation, words: list[str], root: Path):
    ended = bitstation(*words)
    assert (ended.code, ended.out) == (2, "")
    assert reason(ended)
    assert not root.exists()


def test_2_a_root_that_is_a_file(bitstation: Bitstation, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    ended = bitstation("status", "--root", tmp_path / "file")
    assert (ended.code, ended.out) == (2, "")
    assert "is no folder" in reason(ended)


def test_2_a_removal_that_nobody_confirms(
    bitstation: Bitstation, installed: Release, root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = look_at(root)
    assert bitstation("uninstall", TOOL_ID).code == 2
    assert look_at(root) == before
    assert bitstation("uninstall", TOOL_ID, "--yes").code == 0


# --- 20, 21 -------------------------------------------------------------------------------------


def eligibility(bitstation: Bitstation, release: Release) -> int:
    digest = release.manifest.manifest_hash
    words = ("eligibility", TOOL_ID, "--require", release.version, "--hash", digest)
    return bitstation(*words).code


def test_20_another_release_or_another_file_is_not_eligible(
    bitstation: Bitstation, installed: Release, root: Path
):
    assert eligibility(bitstation, NEW) == 0
    assert eligibility(bitstation, OLD) == 20
    twin = make_release({"a.txt": b"another"}, NEW.version)
    assert eligibility(bitstation, twin) == 20
    (root / TOOL_ID / "releases/v1.1.0/a.txt").write_bytes(b"New")
    assert eligibility(bitstation, NEW) == 20


def test_21_nothing_is_installed(bitstation: Bitstation, root: Path, shelf: Shelf):
    assert eligibility(bitstation, NEW) == 21
    for words in (
        ("status", TOOL_ID),
        ("history", TOOL_ID),
        ("verify", TOOL_ID),
        ("rollback", TOOL_ID),
        ("rollback", TOOL_ID, "--dry-run"),
        ("uninstall", TOOL_ID, "--yes"),
        ("uninstall", TOOL_ID, "--dry-run"),
        ("repair", TOOL_ID, "--from", shelf(OLD)),
        ("repair", TOOL_ID, "--dry-run"),
    ):
        assert bitstation(*words).code == 21, words
    assert not root.exists()


def test_21_a_release_that_is_not_kept(bitstation: Bitstation, installed: Release):
    assert bitstation("rollback", TOOL_ID, "--to", "0.9.0").code == 21


# --- 30, 31 -------------------------------------------------------------------------------------


def test_30_a_damaged_file_is_found(bitstation: Bitstation, installed: Release, root: Path):
    (root / TOOL_ID / "releases/v1.1.0/more.txt").write_bytes(b"less")
    ended = bitstation("verify", TOOL_ID)
    assert ended.code == 30
    assert "more.txt" in reason(ended)


def test_30_a_package_cut_short(bitstation: Bitstation, tmp_path: Path, root: Path):
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    assert bitstation("update", TOOL_ID, "--from-zip", tmp_path / "cut.zip").code == 30
    assert not (root / TOOL_ID).exists()


def test_30_a_source_that_holds_other_bytes(bitstation: Bitstation, shelf: Shelf, root: Path):
    (shelf(OLD) / "a.txt").write_bytes(b"OLD")
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD)).code == 30
    assert not (root / TOOL_ID).exists()


def test_30_a_manifest_that_was_edited(bitstation: Bitstation, shelf: Shelf):
    manifest = shelf(OLD) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"gone.txt", b"done.txt"))
    assert bitstation("manifest", "verify", manifest).code == 30
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD)).code == 30


def test_31_a_downgrade(bitstation: Bitstation, installed: Release, shelf: Shelf, root: Path):
    ended = bitstation("update", TOOL_ID, "--from", shelf(OLD))
    assert ended.code == 31
    assert "older than the installed" in reason(ended)
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD), "--allow-downgrade").code == 0
    assert (root / TOOL_ID / "current.txt").read_text().strip() == "v1.0.0"


def test_31_the_same_version_with_other_content(
    bitstation: Bitstation, installed: Release, tmp_path: Path
):
    twin = make_release({"a.txt": b"another"}, NEW.version).write(tmp_path / "twin")
    assert bitstation("update", TOOL_ID, "--from", twin).code == 31


def test_31_another_tool_than_the_one_asked_for(bitstation: Bitstation, shelf: Shelf, root: Path):
    assert bitstation("update", TOOL_ID, "--from", shelf(OTHER)).code == 31
    assert not (root / TOOL_ID).exists()


# --- 40, 41 -------------------------------------------------------------------------------------


def test_40_nobody_answers_or_nobody_knows(bitstation: Bitstation):
    with serving() as server:
        server.say(said(404))
        assert bitstation("update", TOOL_ID, "--hq", server.url).code == 40
        server.say(said(500))
        assert bitstation("list", "--hq", server.url).code == 40
    ended = bitstation("update", TOOL_ID, "--hq", server.url)
    assert ended.code == 40
    assert server.url.removeprefix("http://") in reason(ended)


def test_41_a_server_without_tls(bitstation: Bitstation):
    with serving() as server:
        server.greeting = said(400, b"plain words only").data
        assert bitstation("list", "--hq", f"https://127.0.0.1:{server.port}").code == 41


# --- 50, 51, 52 ---------------------------------------------------------------------------------


def test_50_no_room_is_seen_before_the_first_byte(
    bitstation: Bitstation, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, root: Path
):
    monkeypatch.setattr(fit, "free_bytes", lambda _path: 1000)
    ended = bitstation("update", TOOL_ID, "--from", shelf(OLD))
    assert ended.code == 50
    assert "1000 free" in reason(ended)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, 50), (errno.EACCES, 51), (errno.EROFS, 51), (errno.EBUSY, 52)],
)
def test_50_51_52_a_disk_that_refuses_leaves_the_old_release(
    bitstation: Bitstation, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, number: int, code: int
):
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD)).code == 0
    disks: list[FaultyDisk] = []

    def failing() -> FaultyDisk:
        # The call that opens the first file of the new release.
        disks.append(FaultyDisk(fail_at=before_open, error=lambda: OSError(number, "no")))
        return disks[-1]

    before_open = call_that_opens(bitstation, shelf, monkeypatch, "a.txt")
    monkeypatch.setattr(engine, "Disk", failing)
    ended = bitstation("update", TOOL_ID, "--from", shelf(NEW))
    assert disks[0].has_struck
    assert ended.code == code
    assert "nothing was activated" in ended.err
    assert eligibility(bitstation, OLD) == 0


def call_that_opens(
    bitstation: Bitstation, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, name: str
) -> int:
    """Number of the disk's call that creates a file, when an update runs in a root of its own."""
    disk = FaultyDisk()
    twin = shelf(NEW).parent / "twin"
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD), "--root", twin).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(engine, "Disk", lambda: disk)
        assert bitstation("update", TOOL_ID, "--from", shelf(NEW), "--root", twin).code == 0
    return disk.calls.index(f"open_new {name}") + 1


# --- 75 -----------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from bitstation.storage.tree import ToolsRoot
from bitstation.worker.run import open_run
with open_run(ToolsRoot(Path(sys.argv[1])), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(root: Path) -> Iterator[int]:
    """The tool is locked by another process, whose id is given."""
    command = [sys.executable, "-c", HOLDER, str(root), TOOL_ID]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            assert process.stdout.readline().strip() == b"held"
            yield process.pid
        finally:
            process.stdin.close()


def test_75_another_run_is_named(
    bitstation: Bitstation, installed: Release, root: Path, shelf: Shelf
):
    acts: list[Callable[[], Ended]] = [
        lambda: bitstation("update", TOOL_ID, "--from", shelf(NEW)),
        lambda: bitstation("rollback", TOOL_ID),
        lambda: bitstation("verify", TOOL_ID),
        lambda: bitstation("uninstall", TOOL_ID, "--yes"),
    ]
    with held(root) as pid:
        before = look_at(root)
        for act in acts:
            ended = act()
            assert ended.code == 75
            assert f"process {pid} since" in reason(ended)
        assert look_at(root) == before
        # Who only looks is not kept waiting.
        assert bitstation("status", TOOL_ID).code == 0
        assert eligibility(bitstation, NEW) == 0
    assert bitstation("rollback", TOOL_ID).code == 0
