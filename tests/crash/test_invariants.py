"""Each of I1 to I10 is seen when it is broken: a check that sees nothing proves nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bitstation import host
from bitstation.core.lifecycle import ToolState
from bitstation.storage.ledger import Ledger
from bitstation.testing import crashes, invariants
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import Caps, Invariants
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.scenes import ALL_SCENES, NEW, OLD, used
from bitstation.testing.stage import Stage
from bitstation.worker.status import tool_status


@pytest.fixture
def stage(quick_path: Path) -> Stage:
    """The new release is current, the old one kept, and users left files."""
    staged = Stage(quick_path, ALL_SCENES["rollback"])
    used(staged.updater(), staged.source)
    return staged


def broken(stage: Stage, looked: Invariants) -> set[str]:
    found = looked.broken(TOOL_ID, [NEW.manifest, OLD.manifest], absent=False)
    return {fault.partition(":")[0] for fault in found}


def looked_at(stage: Stage, **options: object) -> Invariants:
    return Invariants(stage.root, stage.beside, **options)  # type: ignore[arg-type]


def test_nothing_is_broken_where_nothing_is(stage: Stage) -> None:
    caps = Caps(memory_bytes=1 << 40)
    assert broken(stage, looked_at(stage, secrets=[b"a secret"], caps=caps)) == set()


def test_i1_i4_i7_a_wrong_file_that_the_ledger_proves(stage: Stage) -> None:
    looked, tree = looked_at(stage), stage.updater().tree
    path = tree.release(NEW.version) / "src/main.py"
    path.write_bytes(b"print(3)")
    ledger = Ledger(stage.ledger)
    entry = next(each for each in NEW.manifest.entries if each.path == "src/main.py")
    ledger.record([(host.stat_facts(path), entry.sha256)])
    ledger.close()
    assert broken(stage, looked) == {"I1", "I4", "I7"}


def test_i2_what_a_user_left_is_gone(stage: Stage) -> None:
    looked, tree = looked_at(stage), stage.updater().tree
    (tree.release(NEW.version) / "src/notes.txt").unlink()
    (tree.path / "venv/file").write_bytes(b"another")
    found = looked.broken(TOOL_ID, [NEW.manifest], absent=False)
    assert sorted(fault.split(",")[0] for fault in found) == [
        "I2: 1.1.0/src/notes.txt",
        "I2: venv/file changed",
    ]


def test_i3_something_outside_the_root_changed(stage: Stage) -> None:
    looked = looked_at(stage)
    (stage.beside / "file").write_bytes(b"ours now")
    assert broken(stage, looked) == {"I3"}


def test_i5_a_version_of_the_metadata_went_down(quick_path: Path) -> None:
    stage = Stage(quick_path, ALL_SCENES["update under a new root"])
    pins = stage.updater().root.pins
    before = pins.read_bytes()
    stage.act(QuickDisk())
    looked = looked_at(stage)
    assert broken(stage, looked) == set()
    pins.write_bytes(before)
    assert broken(stage, looked) == {"I5"}


def test_i6_what_was_verified_is_fetched_again(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(quick_path, ALL_SCENES["first install"])
    # Not a model: the other tool has those.
    entry = next(each for each in OLD.manifest.entries if each.path == "src/main.py")
    here = [crashes.Asked(entry.sha256, 0, entry.size)]
    monkeypatch.setattr(crashes, "already_here", lambda _stage: here)
    with pytest.raises(AssertionError, match="I6"):
        crashes.judge(stage)


def test_i8_too_many_files_are_open_or_too_much_memory_used(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = looked_at(stage, caps=Caps(memory_bytes=1000, more_open_files=8))
    monkeypatch.setattr(invariants, "peak_memory_bytes", lambda: 1001)
    assert broken(stage, looked) == {"I8"}
    monkeypatch.setattr(invariants, "peak_memory_bytes", lambda: 1000)
    assert broken(stage, looked) == set()
    before = invariants.open_files()
    monkeypatch.setattr(invariants, "open_files", lambda: before + 100)
    assert broken(stage, looked) == {"I8"}


def test_i9_the_status_says_other_than_the_disk(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = looked_at(stage)
    true = tool_status(stage.updater().tree, None)
    false = msgspec.structs.replace(true, version="1.0.0", state=ToolState.CURRENT)
    monkeypatch.setattr(invariants, "tool_status", lambda _tree, _ledger: false)
    assert broken(stage, looked) == {"I9"}
    nothing = msgspec.structs.replace(true, state=ToolState.NO_INSTALLATION)
    monkeypatch.setattr(invariants, "tool_status", lambda _tree, _ledger: nothing)
    assert broken(stage, looked) == {"I9"}


def test_i10_a_secret_is_written_down(stage: Stage) -> None:
    looked = looked_at(stage, secrets=[b"s3cret"])
    with stage.updater().tree.history.open("ab") as file:
        file.write(b'{"source": "https://me:s3cret@hq"}\n')
    assert broken(stage, looked) == {"I10"}
