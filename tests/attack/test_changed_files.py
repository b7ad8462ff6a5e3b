"""F18-F22: files and folders change by themselves, or by another hand, at rest and in the midst."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bitstation import BitStationError, DeltaUpdater, Eligibility
from bitstation.errors import StoreError
from bitstation.testing.faulty_reads import FaultyReads
from bitstation.testing.invariants import Invariants
from bitstation.testing.mapped import BLOCK_BYTES
from bitstation.testing.releases import TOOL_ID
from tests.attack.updates import (
    FIRST,
    MODEL,
    NEW_MODEL,
    OLD_MODEL,
    SECOND,
    asked_of,
    release_of,
    rot_unseen,
    source_of,
    updates,
)

MOVED = release_of({"moved.bin": MODEL, "run.py": b"print(1)"}, "1.1.0")


def eligibility(updater: DeltaUpdater) -> Eligibility:
    """Whether the first release is what may take jobs."""
    return updater.get_network_eligibility("1.0.0", FIRST.release.manifest.manifest_hash)


def model_of(updater: DeltaUpdater, version: str = "1.0.0") -> Path:
    return updater.tree.release(version) / "model.bin"


@pytest.mark.parametrize("name", ["model.bin", "run.py"])
def test_f18_bit_flip_at_rest(installed: DeltaUpdater, name: str) -> None:
    """The medium changed it, no stamp tells: a deep verify finds it, and from then on all know."""
    rot_unseen(installed, installed.tree.release("1.0.0") / name, 3)
    assert installed.verify().damaged == ()
    assert [entry.path for entry in installed.verify(deep=True).damaged] == [name]
    assert eligibility(installed) == Eligibility.OUTDATED
    source = source_of(FIRST)
    installed.repair(source)
    assert asked_of(source, OLD_MODEL) <= BLOCK_BYTES
    Invariants(installed.root.path).check(TOOL_ID, FIRST.release.manifest)
    assert eligibility(installed) == Eligibility.ELIGIBLE


@pytest.mark.parametrize("more", [1, -1], ids=["grows", "shrinks"])
def test_f19_file_changes_its_length_while_hashed(installed: DeltaUpdater, more: int) -> None:
    """It counts as damaged, and nothing that was read of it is remembered."""
    model = model_of(installed)
    model.chmod(0o644)

    def change(path: Path) -> None:
        if path == model:
            os.truncate(path, len(MODEL) + more)

    for call in itertools.count(1):
        with FaultyReads(model.parent, call, before=change) as reads:
            verdict = installed.verify(deep=True)
        if not reads.has_struck:
            break
        is_changed = model.stat().st_size != len(MODEL)
        assert is_changed == ("model.bin" in reads.calls[call - 1])
        assert bool(verdict.damaged) == is_changed
        assert (eligibility(installed) == Eligibility.ELIGIBLE) != is_changed
        model.write_bytes(MODEL)
        assert installed.verify().damaged == ()
    assert call > 4


@pytest.mark.parametrize("moment_s", [-1, 0, 4_102_444_800], ids=["before 1970", "1970", "2100"])
def test_f20_mtime_far_off(installed: DeltaUpdater, moment_s: int) -> None:
    """Everything is read once more, and nothing is fetched."""
    for path in installed.root.path.rglob("*"):
        os.utime(path, (max(0, moment_s), moment_s))
    # By design a file that was touched counts for nothing until somebody has read it.
    assert eligibility(installed) == Eligibility.OUTDATED
    assert installed.verify().damaged == ()
    assert eligibility(installed) == Eligibility.ELIGIBLE
    source = source_of(MOVED, FIRST)
    updates(installed, source, MOVED)
    assert asked_of(source, OLD_MODEL) == 0


def things(updater: DeltaUpdater) -> dict[str, Path]:
    """What a run that fetches has on the disk."""
    tree = updater.tree
    return {
        "model": model_of(updater),
        "manifest": tree.release("1.0.0") / "manifest.json",
        "release": tree.release("1.0.0"),
        "staged": tree.staging("1.1.0") / "run.py",
        "staging": tree.staging("1.1.0"),
        "area": tree.staging_area,
        "plan": tree.plan,
        "journal": tree.journal,
        "pointer": tree.pointer,
        "control": tree.control,
        "ledger": updater.root.ledger,
        "root's control": updater.root.control,
    }


THINGS = (
    *("model", "manifest", "release", "staged", "staging", "area", "plan", "journal", "pointer"),
    *("control", "ledger", "root's control"),
)


def meddled(updater: DeltaUpdater, meddle: Callable[[], None]) -> None:
    """Update, and in the midst of it let something be done to its files."""
    source, is_done = source_of(SECOND, FIRST), False

    def once(_asked: object) -> None:
        nonlocal is_done
        if not is_done and _asked.digest == NEW_MODEL:  # type: ignore[attr-defined]
            is_done = True
            meddle()

    source.before_open = once
    error = None
    try:
        updater.update(source)
    except BitStationError as caught:
        error = caught
    assert is_done
    assert error is None or error.exit_code in (1, 30), error


def gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: open files can be removed")
@pytest.mark.parametrize("thing", THINGS)
def test_f21_deleted_midway(installed: DeltaUpdater, thing: str) -> None:
    meddled(installed, lambda: gone(things(installed)[thing]))
    updates(installed, source_of(SECOND, FIRST), SECOND, damaged="1.0.0")


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: open files can be removed")
@pytest.mark.parametrize("by", ["empty", "file", "link"])
@pytest.mark.parametrize("thing", ["release", "staging", "area", "control", "root's control"])
def test_f22_folder_replaced_midway(
    installed: DeltaUpdater, tmp_path: Path, thing: str, by: str
) -> None:
    """By a link: nothing is activated that lies elsewhere, nothing elsewhere is removed."""
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "file").write_bytes(b"not ours")
    path = things(installed)[thing]

    def replace() -> None:
        gone(path)
        if by == "empty":
            path.mkdir()
        elif by == "file":
            path.write_bytes(b"a file")
        else:
            path.symlink_to(beside, target_is_directory=True)

    meddled(installed, replace)
    current = installed.tree.current_version()
    assert thing == "release" or current is None or not installed.tree.release(current).is_symlink()
    try:
        updates(installed, source_of(SECOND, FIRST), SECOND, damaged="1.0.0")
    except StoreError:
        # Whoever put it there has to take it away: it may be what they want.
        assert by != "empty"
        assert thing in ("release", "area", "control", "root's control")
        gone(path)
        updates(installed, source_of(SECOND, FIRST), SECOND, damaged="1.0.0")
    assert (beside / "file").read_bytes() == b"not ours"
