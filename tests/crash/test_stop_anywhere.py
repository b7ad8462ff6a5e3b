"""A run may be killed after any call that changes the disk; the next one puts things right."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path

import pytest

from bitstation.testing.faulty_disk import FaultyDisk, Stopped
from bitstation.testing.invariants import check_settled
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.scenes import OLD, REPAIR, SCENES, Scene
from bitstation.testing.stage import Stage

MOST_CALLS = 600
# The last part of the calls that move what was verified: a folder, or a file that only NEW has.
MOVED = ("v1.1.0 v1.1.0", "twin.py twin.py")
UPDATE = next(scene for scene in SCENES if scene.name == "update")


class FileByFile(FaultyDisk):
    """Windows while a program looks into our folders: only their files can be renamed."""

    def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        if source.is_dir():
            raise PermissionError(errno.EACCES, "in use")
        super().replace(source, target, below=below)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_stop_after_any_call_leaves_the_old_or_the_new_release(
    scene: Scene, quick_path: Path
) -> None:
    _stop_everywhere(scene, quick_path, FaultyDisk)


def test_a_stop_while_files_are_moved_one_by_one_does_too(quick_path: Path) -> None:
    _stop_everywhere(UPDATE, quick_path, FileByFile)


def _stop_everywhere(scene: Scene, folder: Path, kind: type[FaultyDisk]) -> None:
    for number in itertools.count(1):
        assert number < MOST_CALLS
        stage = Stage(folder, scene)
        disk = kind(stop_after=number)
        try:
            stage.act(disk)
        except Stopped:
            pass
        if not disk.has_struck:
            assert number > 5, "the scene changes next to nothing"
            return
        try:
            _recovers(stage, disk, number)
        except BaseException as error:
            error.add_note(f"stopped after call {number}: {disk.calls[-1]}")
            raise
        stage.clear()


def _recovers(stage: Stage, disk: FaultyDisk, number: int) -> None:
    stage.check()
    stage.check_kept()
    if number % 2 and stage.updater().tree.current_version():
        # Recovery is the same whichever command comes next.
        assert stage.updater().verify().damaged == ()
        stage.check()
    stage.source.asked.clear()
    stage.reach_goal()
    check_settled(stage.updater().tree)
    if any(call.startswith("replace") and call.endswith(MOVED) for call in disk.calls):
        assert stage.source.asked == [], "what was verified is not fetched again"


def test_a_repair_stopped_after_any_call_is_finished_by_the_next(quick_path: Path) -> None:
    for number in itertools.count(1):
        stage = Stage(quick_path, REPAIR)
        disk = FaultyDisk(stop_after=number)
        try:
            stage.act(disk)
        except Stopped:
            pass
        if not disk.has_struck:
            assert number > 20
            return
        assert number < MOST_CALLS
        try:
            stage.updater().repair(stage.source, deep=True)
            stage.check()
            stage.reach_goal()
            # The rotten file had another name in the release that is kept.
            assert stage.updater().rollback().to_version == OLD.version
            stage.invariants.check(TOOL_ID, OLD.manifest)
        except BaseException as error:
            error.add_note(f"stopped after call {number}: {disk.calls[-1]}")
            raise
        stage.clear()
