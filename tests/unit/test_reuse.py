"""Contents under new names: cloned, linked or copied, never unproved, never wrong."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest

from bitstation import host
from bitstation.core.digest import Digest, digest_of
from bitstation.errors import UpdateCancelled
from bitstation.storage import reuse as reuse_module
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.reuse import LINK_FROM_BYTES, Reuse, SourceVanished, move_file, remove_name
from bitstation.testing.faulty_disk import QuickDisk

LARGE = os.urandom(LINK_FROM_BYTES)
DIGEST = digest_of(LARGE)


class NoClone(QuickDisk):
    def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
        return False


class Clones(QuickDisk):
    """A volume with copy on write, or what looks like one."""

    def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
        source.seek(0)
        target.write(source.read())
        source.seek(0)
        return True


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as opened:
        yield opened


@pytest.fixture
def large(tmp_path: Path, ledger: Ledger) -> Path:
    """A large file that is proved."""
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    ledger.record([(host.stat_facts(path), DIGEST)])
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def place(
    disk: Disk, ledger: Ledger, source: Path, target: Path, digest: Digest = DIGEST, **options: bool
) -> str:
    return Reuse(disk, ledger).place(source, target, digest, executable=False, **options)


def is_proved(ledger: Ledger, path: Path) -> bool:
    return ledger.proof(host.stat_facts(path)) == DIGEST


def test_a_clone_is_made_where_the_volume_can(ledger: Ledger, large: Path, target: Path) -> None:
    assert place(Clones(), ledger, large, target) == "cloned"
    assert target.read_bytes() == LARGE
    assert not target.samefile(large)
    assert is_proved(ledger, large)


def test_else_a_link_and_both_names_stay_proved(ledger: Ledger, large: Path, target: Path) -> None:
    assert place(NoClone(), ledger, large, target) == "linked"
    assert target.samefile(large)
    assert is_proved(ledger, large)
    assert not host.stat_facts(target).is_writable


@pytest.mark.parametrize(
    "number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EINVAL, errno.EACCES]
)
def test_else_a_copy(ledger: Ledger, large: Path, target: Path, number: int) -> None:
    class NoLink(NoClone):
        def link(self, source: Path, target: Path, *, below: Path | None = None) -> None:
            raise OSError(number, "no links here")

    assert place(NoLink(), ledger, large, target) == "copied"
    assert target.read_bytes() == LARGE
    assert not target.samefile(large)


def test_another_fault_of_a_link_is_told(ledger: Ledger, large: Path, target: Path) -> None:
    class Full(NoClone):
        def link(self, source: Path, target: Path, *, below: Path | None = None) -> None:
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        place(Full(), ledger, large, target)
    assert is_proved(ledger, large)


def test_a_link_whose_mode_cannot_be_set_does_not_un_prove_its_file(
    ledger: Ledger, large: Path, target: Path
) -> None:
    class NoMode(NoClone):
        def set_writable(self, path: Path, writable: bool) -> None:
            raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        place(NoMode(), ledger, large, target)
    assert is_proved(ledger, large)


def test_small_and_unproved_files_are_copied_and_hashed(
    ledger: Ledger, tmp_path: Path, target: Path
) -> None:
    small, unproved = tmp_path / "small", tmp_path / "unproved"
    small.write_bytes(b"small")
    unproved.write_bytes(LARGE)
    assert place(Clones(), ledger, small, target, digest_of(b"small")) == "copied"
    target.unlink()
    assert place(Clones(), ledger, unproved, target) == "copied"


def test_a_file_that_is_not_what_it_was_is_not_placed(
    ledger: Ledger, large: Path, target: Path
) -> None:
    large.write_bytes(LARGE[::-1])
    with pytest.raises(SourceVanished):
        place(Clones(), ledger, large, target)
    assert not target.exists()


@pytest.mark.parametrize("gone", ["absent", "a folder"])
def test_a_file_that_is_gone_is_told(
    ledger: Ledger, tmp_path: Path, target: Path, gone: str
) -> None:
    source = tmp_path / "gone"
    if gone == "a folder":
        source.mkdir()
    with pytest.raises(SourceVanished):
        place(NoClone(), ledger, source, target)
    assert not target.exists()


def test_a_file_that_vanishes_when_it_is_linked_is_told(
    ledger: Ledger, large: Path, target: Path
) -> None:
    class Vanishes(NoClone):
        def link(self, source: Path, target: Path, *, below: Path | None = None) -> None:
            source.unlink()
            super().link(source, target, below=below)

    with pytest.raises(SourceVanished):
        place(Vanishes(), ledger, large, target)


def test_a_file_that_cannot_be_read_to_its_end_is_told_and_leaves_nothing(
    ledger: Ledger, large: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_reader: object, _block: object) -> int:
        raise SourceVanished

    monkeypatch.setattr(reuse_module, "_read", fail)
    with pytest.raises(SourceVanished):
        place(NoClone(), ledger, large, target, digest_of(b"unproved"))
    assert not target.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
def test_the_executable_bit_is_the_one_asked_for(
    ledger: Ledger, large: Path, tmp_path: Path
) -> None:
    for name, disk in (("clone", Clones()), ("copy", NoClone())):
        made = tmp_path / name
        Reuse(disk, ledger).place(large, made, DIGEST, executable=True)
        assert os.access(made, os.X_OK), name
        assert not os.access(large, os.X_OK)


def test_a_copy_can_be_stopped(ledger: Ledger, tmp_path: Path, target: Path) -> None:
    source, stop = tmp_path / "source", Stop()
    source.write_bytes(b"small")
    stop.set()
    with pytest.raises(UpdateCancelled):
        Reuse(NoClone(), ledger, stop).place(source, target, digest_of(b"small"), executable=False)


def test_a_volume_that_cannot_clone_is_asked_once(
    ledger: Ledger, large: Path, tmp_path: Path
) -> None:
    asked: list[object] = []

    class Counts(QuickDisk):
        def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
            asked.append(source)
            return False

    reuse = Reuse(Counts(), ledger)
    for number in range(3):
        reuse.place(large, tmp_path / f"t{number}", DIGEST, executable=False)
    assert len(asked) == 1


# --- removing and moving -------------------------------------------------------------------------


def test_removing_one_name_leaves_the_other_proved_and_read_only(
    ledger: Ledger, large: Path, target: Path
) -> None:
    place(NoClone(), ledger, large, target)
    remove_name(target, QuickDisk(), ledger, [target.with_name("absent"), large])
    assert not target.exists()
    assert is_proved(ledger, large)
    assert not host.stat_facts(large).is_writable


def test_removing_the_last_name_removes_the_file(ledger: Ledger, large: Path, target: Path) -> None:
    remove_name(large, QuickDisk(), ledger, [target])
    remove_name(large, QuickDisk(), ledger, [])
    assert not large.exists()


def test_a_changed_file_does_not_become_proved_by_losing_a_name(
    ledger: Ledger, large: Path, target: Path
) -> None:
    place(NoClone(), ledger, large, target)
    large.chmod(0o644)
    large.write_bytes(LARGE[::-1])
    remove_name(target, QuickDisk(), ledger, [large])
    assert not is_proved(ledger, large)


def test_a_moved_file_stays_proved(ledger: Ledger, large: Path, target: Path) -> None:
    target.write_bytes(b"in the way")
    move_file(large, target, QuickDisk(), ledger)
    assert target.read_bytes() == LARGE
    assert is_proved(ledger, target)


def test_a_moved_file_that_was_changed_stays_unproved(
    ledger: Ledger, large: Path, target: Path
) -> None:
    large.write_bytes(LARGE[::-1])
    move_file(large, target, QuickDisk(), ledger)
    assert not is_proved(ledger, target)
