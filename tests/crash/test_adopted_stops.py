"""A stop at any moment leaves an adopted file as it was, and its bytes are not downloaded later."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.core.adopted import Adopted
from bitstation.core.digest import digest_of
from bitstation.storage.adopted import adopted_files, remember
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk, Stopped
from bitstation.testing.invariants import check_settled
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, UNSIGNED, make_release

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
RELEASE = make_release({"models/a.gguf": MODEL, "main.py": b"1"}, "1.0.0")
NEXT = make_release({"main.py": b"2"}, "1.1.0")
MOST_CALLS = 300


def stages(folder: Path, *, link: bool) -> Iterator[tuple[int, FaultyDisk, DeltaUpdater, Path]]:
    """Fresh roots that adopted a file, each with a disk that stops one call later."""
    for number in itertools.count(1):
        assert number < MOST_CALLS
        place = folder / str(number)
        place.mkdir()
        mine = place / "mine.gguf"
        mine.write_bytes(MODEL)
        disk = FaultyDisk(stop_after=number)
        updater = DeltaUpdater(place / "tools" / TOOL_ID, disk=disk, options=UNSIGNED)
        row = Adopted(str(mine), digest_of(MODEL), len(MODEL), link)
        remember(updater.root, [row], {}, QuickDisk())
        yield number, disk, updater, mine


@pytest.mark.parametrize("link", [False, True], ids=["copy", "link"])
def test_an_install_stopped_after_any_call_goes_on_without_a_download(
    quick_path: Path, link: bool
) -> None:
    for number, disk, updater, mine in stages(quick_path, link=link):
        before = mine.stat()
        try:
            updater.update(MemorySource(RELEASE))
        except Stopped:
            pass
        else:
            assert number > 20, "the install changes next to nothing"
            return
        assert mine.read_bytes() == MODEL, disk.calls[-1]
        after = mine.stat()
        assert link or (after.st_mode, after.st_nlink) == (before.st_mode, before.st_nlink)
        source = MemorySource(RELEASE)
        again = DeltaUpdater(updater.tree.path, disk=QuickDisk(), options=UNSIGNED)
        again.update(source)
        assert digest_of(MODEL) not in source.asked, disk.calls[-1]
        assert (again.tree.release("1.0.0") / "models/a.gguf").read_bytes() == MODEL
        check_settled(again.tree)


@pytest.mark.parametrize("link", [False, True], ids=["copy", "link"])
def test_a_release_removed_up_to_any_call_leaves_the_file(quick_path: Path, link: bool) -> None:
    for number, disk, updater, mine in stages(quick_path, link=link):
        whole = DeltaUpdater(updater.tree.path, disk=QuickDisk(), options=UNSIGNED)
        whole.update(MemorySource(RELEASE))
        before = mine.stat()
        try:
            updater.uninstall()
        except Stopped:
            pass
        else:
            assert number > 5
            return
        assert mine.read_bytes() == MODEL, disk.calls[-1]
        assert mine.stat().st_ino == before.st_ino
        whole.update(MemorySource(NEXT))
        assert mine.read_bytes() == MODEL


def test_the_record_is_the_earlier_or_the_new_one(quick_path: Path) -> None:
    for _number, disk, updater, mine in stages(quick_path, link=False):
        earlier = adopted_files(updater.root)
        more = Adopted(str(mine.with_name("other")), digest_of(b"1"), 1)
        try:
            remember(updater.root, [more], {}, disk)
        except Stopped:
            pass
        else:
            assert adopted_files(updater.root) == [*earlier, more]
            return
        assert adopted_files(updater.root) in (earlier, [*earlier, more]), disk.calls[-1]
        remember(updater.root, [more], {}, QuickDisk())
        assert adopted_files(updater.root) == [*earlier, more]
