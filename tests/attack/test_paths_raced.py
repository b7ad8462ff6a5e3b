"""Threat P31 at its worst moment: a link is planted between our look at a folder and our touch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from bitstation import DeltaUpdater
from bitstation.errors import StoreError
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk, Stopped
from bitstation.testing.invariants import look_at
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import UNSIGNED
from bitstation.transport.source import Source
from tests.attack.machine import NEW, Machine
from tests.attack.planting import plant
from tests.attack.updates import EDITED, FIRST, SECOND
from tests.attack.updates import source_of as mapped_source
from tests.engine.test_links_refused import make_link

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="only on POSIX: names are reached from an open folder"
)


class RacedDisk(QuickDisk):
    """Does something right before a call on a file of a name in staging."""

    def __init__(self, call: str, name: str, act: Callable[[], None]) -> None:
        self._moment = (call, name)
        self._act = act
        self.has_struck = False

    def _strike(self, call: str, path: Path) -> None:
        if not self.has_struck and (call, path.name) == self._moment and ".staging" in path.parts:
            self.has_struck = True
            self._act()

    def remove(self, path: Path, *, below: Path | None = None) -> None:
        self._strike("remove", path)
        super().remove(path, below=below)

    def open_new(self, path: Path, *, replace: bool = False, private: bool = False) -> BinaryIO:
        self._strike("open_new", path)
        return super().open_new(path, replace=replace, private=private)

    def open_within(self, path: Path) -> BinaryIO:
        self._strike("open_within", path)
        return super().open_within(path)


def raced(machine: Machine, theirs: Path, source: Source, call: str, name: str) -> None:
    """The update is refused, and nothing changed behind the link."""
    # Here the test is skipped where no links can be made, and not in the middle of an update.
    make_link(theirs.with_name("probe"), theirs)
    before, link = look_at(theirs), machine.tree.staging("1.1.0")
    disk = RacedDisk(call, name, lambda: plant(link, theirs))
    updater = DeltaUpdater(machine.tree.path, disk=disk, options=UNSIGNED)
    with pytest.raises(StoreError):
        updater.update(source)
    assert disk.has_struck
    assert look_at(theirs) == before


@pytest.mark.parametrize("name", ["main.py", "y.py"])
@pytest.mark.parametrize("call", [pytest.param("remove", marks=posix), "open_new"])
def test_p31_before_a_file_is_fetched_or_copied(
    machine: Machine, theirs: Path, call: str, name: str
) -> None:
    raced(machine, theirs, MemorySource(NEW), call, name)
    machine.heals(MemorySource(NEW), NEW.manifest)


@pytest.mark.parametrize("call", [pytest.param("remove", marks=posix), "open_new"])
def test_p31_before_a_file_is_built(mapped: Machine, theirs: Path, call: str) -> None:
    (theirs / "model.bin").write_bytes(bytes(len(EDITED)))
    raced(mapped, theirs, mapped_source(SECOND, FIRST), call, "model.bin")
    mapped.heals(mapped_source(SECOND, FIRST), SECOND.release.manifest)


def test_p31_before_a_file_is_built_on(mapped: Machine, theirs: Path) -> None:
    """What is there of it was proved; it is opened once more, as long as it is."""
    (theirs / "model.bin").write_bytes(bytes(len(EDITED)))
    stopping = FaultyDisk(stop_after=2, kinds=("write_at",))
    with pytest.raises(Stopped):
        DeltaUpdater(mapped.tree.path, disk=stopping, options=UNSIGNED).update(
            mapped_source(SECOND, FIRST)
        )
    raced(mapped, theirs, mapped_source(SECOND, FIRST), "open_within", "model.bin")
    mapped.heals(mapped_source(SECOND, FIRST), SECOND.release.manifest)
