"""Calls that change the disk: whole or not at all, and never beyond the folder they are told."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.storage.durable import Disk
from bitstation.testing.faulty_disk import COUNTED, FaultyDisk, QuickDisk, Stopped

MADE_OF_OTHERS = {"settle_path", "write_file", "sync_dirs", "remove_tree"}


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_every_call_that_changes_the_disk_can_be_failed() -> None:
    calls = {name for name in vars(Disk) if not name.startswith("_")}
    assert calls == set(COUNTED) | MADE_OF_OTHERS


def test_a_file_is_replaced_whole(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"first", b"", b"second" * 1000):
        disk.write_file(path, data)
        assert path.read_bytes() == data
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_stop_at_any_call_leaves_the_earlier_or_the_new_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    seen = set()
    for number in range(1, 10):
        path.write_bytes(b"earlier")
        broken = FaultyDisk(stop_after=number)
        try:
            broken.write_file(path, b"the new one")
        except Stopped:
            pass
        seen.add(path.read_bytes())
        assert path.read_bytes() in (b"earlier", b"the new one")
    assert seen == {b"earlier", b"the new one"}


def test_the_content_is_durable_before_the_name_is_given_and_then_the_name(
    tmp_path: Path,
) -> None:
    disk = FaultyDisk()
    disk.write_file(tmp_path / "file", b"data")
    names = [call.split()[0] for call in disk.calls]
    assert names == ["open_new", "write", "sync_file", "replace", "sync_dir"]


def test_a_left_over_temporary_file_is_no_hindrance(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / f"file{TEMPORARY_SUFFIX}").write_bytes(b"left over, and longer than what comes")
    disk.write_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_what_the_system_takes_by_pieces_is_written_to_its_end(disk: Disk) -> None:
    class Slow:
        taken = b""

        def write(self, data: memoryview) -> int:
            self.taken += bytes(data[:3])
            return min(3, len(data))

    slow = Slow()
    disk.write(slow, b"0123456789")  # type: ignore[arg-type]
    assert slow.taken == b"0123456789"


def test_a_new_file_must_be_new(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"there")
    with pytest.raises(FileExistsError):
        disk.open_new(tmp_path / "file")
    with disk.open_new(tmp_path / "file", replace=True) as file:
        file.write(b"x")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_absent_names_are_removed_already(disk: Disk, tmp_path: Path) -> None:
    disk.remove(tmp_path / "absent")
    disk.remove_dir(tmp_path / "absent")
    disk.remove_tree(tmp_path / "absent")
    disk.make_dir(tmp_path / "a/b/c")
    disk.make_dir(tmp_path / "a/b/c")


def test_a_read_only_file_is_removed_and_replaced(disk: Disk, tmp_path: Path) -> None:
    for name in ("one", "two", "new"):
        (tmp_path / name).write_bytes(name.encode())
    disk.set_writable(tmp_path / "one", False)
    disk.set_writable(tmp_path / "two", False)
    disk.remove(tmp_path / "one")
    disk.replace(tmp_path / "new", tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    assert (tmp_path / "two").read_bytes() == b"new"


def test_a_tree_is_removed_whole(disk: Disk, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path in ("a/b/c/file", "a/file", "d/file"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(b"x")
        disk.set_writable(tree / path, False)
    (tree / "empty").mkdir()
    disk.remove_tree(tree)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_a_tree_of_one(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    disk.remove_tree(tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_links_are_removed_and_never_followed(disk: Disk, tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (outside / "file").write_bytes(b"stays")
    tree.mkdir()
    (tree / "folder").symlink_to(outside)
    (tree / "file").symlink_to(outside / "file")
    (tree / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "top").symlink_to(outside)

    disk.remove_tree(tree)
    disk.remove_tree(tmp_path / "top")

    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "file").read_bytes() == b"stays"


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: depth beyond its paths")
def test_a_tree_of_any_depth_is_removed(disk: Disk, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    for _ in range(1500):  # deeper than Python's calls may go
        folder = folder / "d"
        folder.mkdir()
    disk.remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_durable_from_below_up_to_the_top(tmp_path: Path) -> None:
    order: list[str] = []

    class Notes(QuickDisk):
        def sync_dir(self, path: Path) -> None:
            order.append(path.relative_to(tmp_path).as_posix())

    below = [tmp_path / "top/a/b", tmp_path / "top/c", tmp_path / "elsewhere/x"]
    Notes().sync_dirs(below, tmp_path / "top")
    assert order[-1] == "top"
    assert sorted(order) == ["top", "top/a", "top/a/b", "top/c"]
    assert order.index("top/a/b") < order.index("top/a")


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
def test_an_executable_file_may_be_run_by_whoever_may_read_it(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    with disk.open_new(path) as file:
        path.chmod(0o640)
        disk.set_executable(file)
    assert path.stat().st_mode & 0o777 == 0o750


def test_times_and_modes_are_copied(disk: Disk, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.write_bytes(b"x")
    os.utime(one, (1_000_000, 2_000_000))
    disk.copy_stamps(one, other)
    assert other.stat().st_mtime == 2_000_000


def test_space_is_reserved(disk: Disk, tmp_path: Path) -> None:
    with disk.open_new(tmp_path / "file") as file:
        disk.preallocate(file, 100_000)
        disk.write(file, b"x")
    assert (tmp_path / "file").stat().st_size == 100_000


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_a_link_in_the_place_of_a_new_file_is_not_written_through(
    disk: Disk, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"stays")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(FileExistsError):
        disk.open_new(tmp_path / "link")
    with disk.open_new(tmp_path / "link", replace=True) as file:
        file.write(b"x")
    assert target.read_bytes() == b"stays"
    assert (tmp_path / "link").read_bytes() == b"x"


def test_a_second_name_in_the_place_of_a_new_file_is_not_written_through(
    disk: Disk, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"stays")
    (tmp_path / "name").hardlink_to(target)
    with disk.open_new(tmp_path / "name", replace=True) as file:
        file.write(b"x")
    assert target.read_bytes() == b"stays"


# --- the disks of tests --------------------------------------------------------------------------


def test_a_world_that_stopped_does_nothing_any_more(tmp_path: Path) -> None:
    disk = FaultyDisk(stop_after=2)
    disk.make_dir(tmp_path / "one")
    with pytest.raises(Stopped):
        disk.make_dir(tmp_path / "two")
    with pytest.raises(Stopped):
        disk.make_dir(tmp_path / "three")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert disk.calls == ["make_dir one", "make_dir two"]
    assert disk.has_struck


def test_the_last_write_of_a_world_is_torn(tmp_path: Path) -> None:
    disk = FaultyDisk(stop_after=1)
    with (tmp_path / "file").open("wb", buffering=0) as file, pytest.raises(Stopped):
        disk.write(_binary(file), b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"01234"


@pytest.mark.parametrize("fails_on", [False, True])
def test_a_call_fails_without_being_done(tmp_path: Path, fails_on: bool) -> None:
    disk = FaultyDisk(fail_at=2, error=lambda: OSError(28, "full"), fails_on=fails_on)
    outcomes = []
    for name in ("one", "two", "three"):
        try:
            disk.make_dir(tmp_path / name)
            outcomes.append("done")
        except OSError:
            outcomes.append("failed")
    assert outcomes == ["done", "failed", "failed" if fails_on else "done"]
    assert not (tmp_path / "two").exists()


def _binary(file: object) -> BinaryIO:
    return file  # type: ignore[return-value]
