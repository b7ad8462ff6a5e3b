"""Who may read and write what we make, whatever the user's umask or the folder above says."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation import host
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.storage.durable import Disk
from bitstation.storage.private import make_guarded, make_private_file

EVERYONE = "(A;OICI;FA;;;WD)"


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which everyone may write, so that what is made in it is as open as can be."""
    folder = tmp_path / "open"
    folder.mkdir()
    expose(folder)
    before = os.umask(0)
    yield folder
    os.umask(before)


def expose(folder: Path) -> None:
    """Let everyone write in a folder, and in what is made in it."""
    if sys.platform == "win32":
        from bitstation.host import windows_access

        windows_access._set_access(folder, EVERYONE)
    else:
        folder.chmod(0o777)


def test_who_may_write_is_seen(tmp_path: Path, open_folder: Path) -> None:
    assert host.others_may_write(open_folder)
    host.make_private(open_folder)
    assert not host.others_may_write(open_folder)
    assert not host.others_may_read(open_folder)


def test_a_private_file_is_private_from_its_first_moment(open_folder: Path) -> None:
    path = open_folder / "secret"
    fd = host.create_file(path, os.O_RDWR | os.O_EXCL, private=True)
    with os.fdopen(fd, "wb", 0) as file:
        # Before a byte is in it: whoever opens a file keeps it open.
        assert not host.others_may_read(path)
        file.write(b"secret")
    assert path.read_bytes() == b"secret"
    with pytest.raises(FileExistsError):
        host.create_file(path, os.O_RDWR | os.O_EXCL, private=True)


def test_a_private_folder_is_private_and_its_files_with_it(open_folder: Path) -> None:
    host.make_dir(open_folder / "a/private", private=True)
    assert not host.others_may_write(open_folder / "a/private")
    assert not host.others_may_read(open_folder / "a/private")
    host.make_dir(open_folder / "a/private", private=True)


def test_nobody_else_writes_in_a_guarded_folder_but_may_read(open_folder: Path) -> None:
    folder = open_folder / "root"
    make_guarded([folder], Disk())
    assert not host.others_may_write(folder)
    assert host.others_may_read(folder)


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: access lists")
def test_what_is_made_in_such_a_folder_takes_its_access_over(open_folder: Path) -> None:
    if hasattr(ctypes.windll.ntdll, "wine_get_version"):
        pytest.skip("not under Wine: access is not handed down")
    make_guarded([open_folder / "guarded"], Disk())
    host.make_dir(open_folder / "private", private=True)
    for name in ("guarded", "private"):
        (open_folder / name / "file").write_bytes(b"x")
    assert not host.others_may_write(open_folder / "guarded/file")
    assert not host.others_may_read(open_folder / "private/file")


def test_a_folder_that_exists_stays_as_its_owner_wants_it(open_folder: Path) -> None:
    make_guarded([open_folder], Disk())
    host.make_dir(open_folder, private=True)
    assert host.others_may_write(open_folder)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
def test_what_is_made_is_never_for_everyone_to_write(open_folder: Path) -> None:
    disk = Disk()
    disk.make_dir(open_folder / "one/two")
    disk.write_file(open_folder / "one/file", b"x")
    disk.open_new(open_folder / "one/new").close()
    disk.open_append(open_folder / "one/log").close()
    found = [open_folder / "one", *(open_folder / "one").iterdir()]
    assert len(found) == 5
    assert [path.name for path in found if path.stat().st_mode & 0o002] == []


def test_a_database_is_begun_private_and_an_existing_one_is_left_alone(open_folder: Path) -> None:
    path = open_folder / "db"
    make_private_file(path)
    assert not host.others_may_read(path)
    path.write_bytes(b"kept")
    make_private_file(path)
    assert path.read_bytes() == b"kept"


def test_p32_hardlink_planted_where_a_secret_is_written(open_folder: Path) -> None:
    # A second name of a file elsewhere, where the temporary goes, and somebody who has it open.
    elsewhere, path = open_folder / "elsewhere", open_folder / "token"
    elsewhere.write_bytes(b"stays")
    os.link(elsewhere, path.with_name(path.name + TEMPORARY_SUFFIX))
    with elsewhere.open("rb") as watcher:
        try:
            Disk().write_file(path, b"secret", private=True)
        except PermissionError:
            # Windows removes no file that is open: then nothing is written at all.
            assert sys.platform == "win32"
        assert watcher.read() == b"stays"
    Disk().write_file(path, b"secret", private=True)
    assert elsewhere.read_bytes() == b"stays"
    assert path.read_bytes() == b"secret"
    assert not host.others_may_read(path)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
def test_a_folder_of_another_user_is_exposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    mine = tmp_path.stat().st_uid
    assert host.others_may_write(tmp_path) == (mine not in (0, 4711))
    with contextlib.suppress(PermissionError):
        os.chown(tmp_path, 4712, -1)
        assert host.others_may_write(tmp_path)
        os.chown(tmp_path, mine, -1)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_an_appended_file_is_not_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"stays")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="log"):
        Disk().open_append(tmp_path / "log")
    assert stat.S_ISLNK((tmp_path / "log").lstat().st_mode)


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: access lists")
def test_who_runs_is_not_what_the_environment_says(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A program of this name in the current folder, and a user of this name, would let everyone in.
    (open_folder / "icacls.exe").write_bytes(b"MZ")
    monkeypatch.chdir(open_folder)
    monkeypatch.setenv("USERNAME", "Everyone")
    path = open_folder / "secret"
    path.write_bytes(b"x")
    host.make_private(path)
    assert not host.others_may_read(path)
    assert path.read_bytes() == b"x"
