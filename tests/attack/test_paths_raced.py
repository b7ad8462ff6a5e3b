"""Threat P31 at its worst moment: a link is planted between our look at a folder and our touch."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from bitstation import DeltaUpdater
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.errors import StoreError
from bitstation.testing.faulty_disk import FaultyDisk, Stopped
from bitstation.testing.invariants import Seen, look_at
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import UNSIGNED, make_release
from bitstation.testing.volumes import NoClone
from bitstation.transport.source import Source
from bitstation.worker import fit
from bitstation.worker.run import Options
from tests.attack.machine import FILES, NEW, OLD, Machine
from tests.attack.planting import LATER, plant
from tests.attack.updates import EDITED, FIRST, SECOND
from tests.attack.updates import source_of as mapped_source
from tests.engine.test_links_refused import make_link

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="only on POSIX: names are reached from an open folder"
)


class RacedDisk(NoClone):
    """Does something right before a call on a file of a name in staging."""

    def __init__(self, call: str, name: str, act: Callable[[], None]) -> None:
        self._moment = (call, name)
        self._act = act
        self.has_struck = False

    def _strike(self, call: str, *paths: Path) -> None:
        is_meant = any((call, path.name) == self._moment for path in paths)
        if not self.has_struck and is_meant and any(".staging" in path.parts for path in paths):
            self.has_struck = True
            self._act()

    def remove(self, path: Path, *, below: Path | None = None) -> None:
        self._strike("remove", path)
        super().remove(path, below=below)

    def open_new(self, path: Path, **how: Any) -> BinaryIO:
        self._strike("open_new", path)
        return super().open_new(path, **how)

    def open_within(self, path: Path, *, below: Path | None = None) -> BinaryIO:
        self._strike("open_within", path)
        return super().open_within(path, below=below)

    def link(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        self._strike("link", target)
        super().link(source, target, below=below)

    def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        self._strike("replace", source, target)
        super().replace(source, target, below=below)


class BusyRacedDisk(RacedDisk):
    """Windows, while a program looks into folders: none is renamed."""

    def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        if source.is_dir():
            raise PermissionError(errno.EACCES, "in use")
        super().replace(source, target, below=below)


def untouched(theirs: Path, before: Seen) -> bool:
    """Say whether all is as it was. On Windows a new name may be there, and no byte under it."""
    after = look_at(theirs)
    if sys.platform == "win32":
        empty = {path for path in after.keys() - before if not (theirs / path).stat().st_size}
        after = {path: facts for path, facts in after.items() if path not in empty}
    return after == before


def raced(
    machine: Machine,
    theirs: Path,
    source: Source,
    call: str,
    name: str,
    *,
    link: str = ".staging/v1.1.0",
    disk_kind: type[RacedDisk] = RacedDisk,
    options: Options = UNSIGNED,
    act: Callable[[DeltaUpdater, Source], object] = DeltaUpdater.update,
) -> None:
    """The run is refused, and nothing changed behind the link."""
    # Here the test is skipped where no links can be made, and not in the middle of an update.
    make_link(theirs.with_name("probe"), theirs)
    before, place = look_at(theirs), machine.tree.releases / link
    disk = disk_kind(call, name, lambda: plant(place, theirs))
    updater = DeltaUpdater(machine.tree.path, disk=disk, options=options)
    with pytest.raises(StoreError):
        act(updater, source)
    assert disk.has_struck
    assert untouched(theirs, before)


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


# --- what is not there yet behind the link ------------------------------------------------------

LARGE = b"large" * 100_000
WITH_LARGE = make_release(FILES | {"large.bin": LARGE}, "1.1.0")
ITS_NEXT = make_release(NEW.files | {"large.bin": LARGE, "empty": b""}, "1.2.0")
NEXT = ".staging/v1.2.0"
BEGUN = "manifest.json" + TEMPORARY_SUFFIX


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of somebody else's without any file, in which every file of a release has room."""
    for folder in ("v1.2.0", "lib/deep"):
        (tmp_path / "bare" / folder).mkdir(parents=True)
    return tmp_path / "bare"


@pytest.mark.parametrize(
    ("call", "name"),
    [
        pytest.param("open_new", "main.py", id="fetched"),
        pytest.param("open_new", "y.py", id="copied"),
        pytest.param("open_new", "empty", id="empty"),
        pytest.param("link", "large.bin", marks=posix, id="linked"),
        pytest.param("open_new", BEGUN, id="manifest"),
        pytest.param("replace", BEGUN, marks=posix, id="manifest-named"),
    ],
)
def test_p31_no_name_of_a_release_appears(
    machine: Machine, bare: Path, call: str, name: str
) -> None:
    machine.heals(MemorySource(WITH_LARGE), WITH_LARGE.manifest)
    if call == "replace":
        (bare / name).write_bytes(b"theirs")
    raced(machine, bare, MemorySource(ITS_NEXT), call, name, link=NEXT)
    machine.heals(MemorySource(ITS_NEXT), ITS_NEXT.manifest)


def test_p31_no_file_built_from_blocks_appears(mapped: Machine, bare: Path) -> None:
    raced(mapped, bare, mapped_source(SECOND, FIRST), "open_new", "model.bin")
    mapped.heals(mapped_source(SECOND, FIRST), SECOND.release.manifest)


@posix
def test_p31_no_file_that_is_reworked_is_moved(
    mapped: Machine, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "free_bytes", lambda _path: 4 * 1024 * 1024 + 100)
    options = Options(allow_unsigned=True, in_place=True)
    raced(mapped, bare, mapped_source(SECOND, FIRST), "replace", "model.bin", options=options)
    monkeypatch.undo()
    mapped.heals(mapped_source(SECOND, FIRST), SECOND.release.manifest)


@posix
@pytest.mark.parametrize("theirs_has", ["", "main.py"])
def test_p31_no_folder_of_theirs_becomes_a_release(
    machine: Machine, bare: Path, theirs_has: str
) -> None:
    """It is moved in from staging as a whole: what is proved is what is moved."""
    (bare / "v1.1.0").mkdir()
    (bare / "v1.1.0" / (theirs_has or "other")).write_bytes(b"theirs")
    raced(machine, bare, MemorySource(NEW), "replace", "v1.1.0", link=".staging")
    assert not machine.tree.release("1.1.0").exists()
    (machine.tree.releases / ".staging").unlink()
    machine.heals(MemorySource(NEW), NEW.manifest)


@posix
@pytest.mark.parametrize("name", ["x.py", "manifest.json"])
def test_p31_no_file_that_is_moved_alone_goes_there(
    machine: Machine, bare: Path, name: str
) -> None:
    link = "v1.1.0/lib" if name == "x.py" else "v1.1.0"
    source = MemorySource(NEW)
    raced(machine, bare, source, "replace", name, link=link, disk_kind=BusyRacedDisk)
    (machine.tree.releases / link).unlink()
    machine.heals(MemorySource(LATER), LATER.manifest)


@posix
def test_p31_no_file_that_is_mended_goes_there(machine: Machine, bare: Path) -> None:
    (machine.tree.release("1.0.0") / "lib/x.py").write_bytes(b"damaged")
    source, link = MemorySource(OLD), "v1.0.0/lib"
    raced(machine, bare, source, "replace", "x.py", link=link, act=DeltaUpdater.repair)
    machine.updater.repair(MemorySource(OLD))
    assert machine.updater.verify(deep=True).damaged == ()


@pytest.mark.parametrize("call", ["open_new", pytest.param("replace", marks=posix)])
def test_p31_no_file_that_is_carried_goes_there(machine: Machine, bare: Path, call: str) -> None:
    """A file of the user's that moves along: what he wrote is not for everyone either."""
    (machine.tree.release("1.0.0") / "lib/theirs.log").write_bytes(b"mine")
    name = "theirs.log" + TEMPORARY_SUFFIX
    if call == "replace":
        (bare / "lib" / name).write_bytes(b"theirs")
    raced(machine, bare, MemorySource(NEW), call, name)
    machine.heals(MemorySource(NEW), NEW.manifest)
