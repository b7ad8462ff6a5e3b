"""Group P of the threats, 32: hard links to files of others, planted at names of ours."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bitstation.errors import SourceError
from bitstation.testing.invariants import look_at
from bitstation.testing.memory_source import MemorySource, cut_short
from tests.attack.machine import FILES, NEW, OLD, Machine
from tests.attack.planting import FRESH, LATER, RACED
from tests.attack.updates import MODEL
from tests.attack.updates import source_of as mapped_source


def test_p32_hardlink_in_the_release(machine: Machine, theirs: Path) -> None:
    """A name of another's file in place of ours is damage, and is replaced, never written to."""
    name = machine.tree.release("1.0.0") / "lib/x.py"
    name.unlink()
    name.hardlink_to(theirs / "lib/x.py")
    before = look_at(theirs)
    assert [each.path for each in machine.updater.verify().damaged] == ["lib/x.py"]
    machine.updater.repair(MemorySource(OLD))
    assert look_at(theirs) == before
    assert machine.updater.verify(deep=True).damaged == ()


def test_p32_hardlink_of_the_same_content(machine: Machine, theirs: Path) -> None:
    """It is what it says it is, so that it may be reused; what its owner does to it is noticed."""
    name = machine.tree.release("1.0.0") / "lib/x.py"
    name.unlink()
    (theirs / "lib/x.py").write_bytes(FILES["lib/x.py"])
    name.hardlink_to(theirs / "lib/x.py")
    machine.heals(MemorySource(RACED), RACED.manifest)
    (theirs / "lib/x.py").write_bytes(b"x = 3\n")
    assert machine.updater.verify().damaged == ()
    assert (machine.tree.release("1.1.0") / "lib/x.py").read_bytes() == FILES["lib/x.py"]


@pytest.mark.parametrize("is_begun", [False, True], ids=["before the run", "between two runs"])
def test_p32_hardlink_in_staging(mapped: Machine, theirs: Path, is_begun: bool) -> None:
    """At the names of a file to be fetched and of one that is half built."""
    staging, source = mapped.tree.staging("1.1.0"), mapped_source(FRESH)
    if is_begun:
        source.lie(FRESH.digest("model.bin"), cut_short)
        with pytest.raises(SourceError):
            mapped.updater.update(source)
        assert (staging / "model.bin").stat().st_size == len(MODEL)
    staging.mkdir(parents=True, exist_ok=True)
    for name in ("model.bin", "run.py", "manifest.json"):
        (theirs / name).write_bytes(MODEL if name == "model.bin" else b"theirs")
        (staging / name).unlink(missing_ok=True)
        (staging / name).hardlink_to(theirs / name)
    before = look_at(theirs)
    mapped.heals(mapped_source(FRESH), FRESH.release.manifest)
    assert look_at(theirs) == before


OURS = ["journal", "plan.json", "history.jsonl", "lock", "probe", "probe-twin"]


@pytest.mark.parametrize("suffix", ["", ".bitstation-tmp"])
@pytest.mark.parametrize("name", [*OURS, "../current.txt", "../../.bitstation/ledger.sqlite3"])
def test_p32_hardlink_at_control_files(
    machine: Machine, theirs: Path, name: str, suffix: str
) -> None:
    target = theirs / "main.py"
    if "ledger" in name:
        with closing(sqlite3.connect(target.with_name("db"))) as database:
            database.execute("CREATE TABLE proof (theirs)")
        target = target.with_name("db")
    link = machine.tree.control / f"{name}{suffix}"
    link.unlink(missing_ok=True)
    link.hardlink_to(target)
    before = look_at(theirs)
    machine.updater.update(MemorySource(NEW))
    machine.heals(MemorySource(LATER), LATER.manifest)
    assert look_at(theirs) == before


def test_p32_hardlink_at_the_ledger_s_clock(machine: Machine, theirs: Path) -> None:
    clock, before = machine.updater.root.control / "clock", look_at(theirs)
    clock.unlink()
    clock.hardlink_to(theirs / "main.py")
    machine.heals(MemorySource(NEW))
    assert look_at(theirs) == before
