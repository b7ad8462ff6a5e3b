"""What must be alike on Windows, Linux and macOS."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bitstation import host
from bitstation.host.threads import shared_pool


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_facts_by_name_and_by_handle_agree(file: Path) -> None:
    with file.open("rb") as opened:
        assert host.stat_facts(opened.fileno()) == host.stat_facts(file)
    facts = host.stat_facts(file)
    assert (facts.size, facts.links, facts.is_file, facts.is_writable) == (7, 1, True, True)
    assert not host.stat_facts(file.parent).is_file


def test_the_change_stamp_moves_when_a_file_is_rewritten_and_its_time_restored(file: Path) -> None:
    before, times = host.stat_facts(file), file.stat()
    while host.stat_facts(file).change_ns == before.change_ns:
        file.write_bytes(b"CONTENT")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = host.stat_facts(file)
    assert (after.size, after.mtime_ns, after.identity) == (7, before.mtime_ns, before.identity)
    assert not after.same_content_as(before)
    assert host.stat_facts(file) == after, "and stays when nothing is done"


def test_two_names_of_a_file_have_one_identity(file: Path, tmp_path: Path) -> None:
    os.link(file, tmp_path / "second")
    (tmp_path / "other").write_bytes(b"content")
    one, second, other = (host.stat_facts(tmp_path / n) for n in ("file", "second", "other"))
    assert one.identity == second.identity != other.identity
    assert one.links == 2


def test_writing_may_be_forbidden_and_allowed(file: Path) -> None:
    host.set_writable(file, False)
    assert not host.stat_facts(file).is_writable
    host.set_writable(file, True)
    assert host.stat_facts(file).is_writable


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    one, other = host.FileLock(tmp_path / "lock"), host.FileLock(tmp_path / "lock")
    assert one.acquire()
    one.write_holder("a longer note of the first holder")
    assert not other.acquire()
    assert other.read_holder() == "a longer note of the first holder"
    one.release()
    one.release()
    assert other.acquire()
    other.write_holder("the second")
    assert one.read_holder() == "the second"
    other.discard()
    assert not (tmp_path / "lock").exists()
    assert one.acquire()
    one.release()


def test_a_lock_is_held_by_one_of_many(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "lock", [0], [0]
    guard = threading.Lock()

    def work() -> None:
        for _ in range(30):
            lock = host.FileLock(path)
            if not lock.acquire():
                continue
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            with guard:
                inside[0] -= 1
            lock.discard() if _ % 2 else lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_nobody_holds_a_lock_that_is_not_there(tmp_path: Path) -> None:
    assert host.FileLock(tmp_path / "absent").read_holder() == ""


def test_a_path_of_any_length_is_taken(tmp_path: Path) -> None:
    deep = host.native_path(tmp_path.joinpath(*["d" * 40] * 12))
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x")
    assert host.stat_facts(deep / "file").is_file
    assert host.native_path(deep) == deep, "once is enough"
    longest, longest_name = host.path_limit(tmp_path)
    assert longest > 400
    assert longest_name >= 143


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: forms of paths")
def test_paths_take_the_form_without_a_limit() -> None:
    assert str(host.native_path(Path("C:\\a\\b"))) == "\\\\?\\C:\\a\\b"
    assert str(host.native_path(Path("\\\\server\\share\\a"))) == "\\\\?\\UNC\\server\\share\\a"


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: open files are locked")
def test_a_file_in_use_is_told_after_a_while(file: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    with file.open("rb"):
        with pytest.raises(PermissionError):
            host.remove(file)
        with pytest.raises(PermissionError):
            host.replace(tmp_path / "new", file)
    host.replace(tmp_path / "new", file)
    assert file.read_bytes() == b"new"


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: open files are locked")
def test_a_file_that_is_in_use_for_a_moment_is_waited_for(file: Path) -> None:
    opened = file.open("rb")
    closing = threading.Timer(0.05, opened.close)
    closing.start()
    host.remove(file)
    closing.join()
    assert not file.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_a_link_is_seen_as_one_and_not_followed(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert host.is_link(link)
    assert not host.is_link(file)
    assert not host.is_link(tmp_path / "absent")
    assert not host.stat_facts(link).is_file
    with pytest.raises(OSError, match="symbolic"):
        host.FileLock(link).acquire()


def test_a_clone_is_made_or_refused_but_never_wrong(file: Path, tmp_path: Path) -> None:
    with file.open("rb") as source, (tmp_path / "clone").open("wb") as target:
        done = host.clone_file(source.fileno(), target.fileno())
    assert (tmp_path / "clone").read_bytes() == (b"content" if done else b"")


def test_only_the_owner_reads_what_is_private(file: Path) -> None:
    host.make_private(file)
    assert file.read_bytes() == b"content"
    assert sys.platform == "win32" or file.stat().st_mode & 0o777 == 0o600


def test_there_is_one_pool() -> None:
    assert shared_pool() is shared_pool()
    assert shared_pool().submit(lambda: 5).result() == 5


def test_its_owner_may_set_the_mode_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    assert host.may_set_mode(file)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: owners")
def test_others_may_not_set_the_mode_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    assert not host.may_set_mode(file)


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: disks that turn")
@pytest.mark.parametrize(
    ("device", "said", "turns"),
    [
        ("pci0000:00/ata1/host0/block/sda", "1", True),
        ("pci0000:00/ata1/host0/block/sda", "0", False),
        ("pci0000:00/virtio2/block/vda", "1", False),
        ("virtual/block/dm-0", "1", False),
        ("pci0000:00/ata1/host0/block/sda", "?", False),
    ],
)
def test_a_disk_that_turns_is_known(tmp_path: Path, device: str, said: str, turns: bool) -> None:
    from bitstation.host import posix

    disk = tmp_path / device
    (disk / "queue").mkdir(parents=True)
    (disk / "queue/rotational").write_text(said + "\n")
    (disk / "part1").mkdir()
    assert posix._turns(disk) is turns
    assert posix._turns(disk / "part1") is turns
    assert posix._turns(disk / "gone") is False


def test_a_volume_takes_files_as_long_as_it_can(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    assert host.takes_length(file, 0)
    assert host.takes_length(file, 4 * 1024**3 - 1)
    assert file.read_bytes() == b"x"


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: how its volumes are asked")
def test_a_volume_that_cannot_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lseek(_fd: int, offset: int, _whence: int) -> int:
        if offset > 4 * 1024**3 - 1:
            raise OSError(errno.EINVAL, "Invalid argument")
        return offset

    monkeypatch.setattr(os, "lseek", lseek)
    (tmp_path / "file").touch()
    assert host.takes_length(tmp_path / "file", 4 * 1024**3 - 1)
    assert not host.takes_length(tmp_path / "file", 4 * 1024**3)


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: names are looked at again")
def test_a_file_that_another_name_gave_is_closed_as_it_is(file: Path, tmp_path: Path) -> None:
    from bitstation.host.windows import opened

    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    with pytest.raises(FileNotFoundError, match="became another"):
        opened(file, tmp_path, lambda _path: os.open(other, os.O_RDWR))
    other.unlink()
    assert file.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: names are reached by folders")
def test_what_is_touched_below_a_folder_is_reached_by_no_link(tmp_path: Path) -> None:
    """And the error names the whole path."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/old").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("theirs")
    plain, new, old = tmp_path / "plain", tmp_path / "link/new", tmp_path / "link/old"
    plain.write_bytes(b"ours")
    acts: list[Callable[[], object]] = [
        lambda: host.create_file(new, os.O_RDWR | os.O_EXCL, below=tmp_path),
        lambda: host.open_file(old, tmp_path),
        lambda: host.link(plain, new, tmp_path),
        lambda: host.replace(plain, old, tmp_path),
        lambda: host.replace(old, plain, tmp_path),
        lambda: host.remove(old, tmp_path),
    ]
    for act in acts:
        with pytest.raises(NotADirectoryError) as caught:
            act()
        assert caught.value.filename in (str(new), str(old), str(plain))
    assert [each.name for each in (tmp_path / "theirs").iterdir()] == ["old"]
    assert (old.read_bytes(), plain.read_bytes()) == (b"theirs", b"ours")
