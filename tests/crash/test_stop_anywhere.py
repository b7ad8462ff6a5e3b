"""A run may be killed after any call that changes the disk; the next one puts things right."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from bitstation.storage.durable import Disk
from bitstation.testing.faulty_disk import FaultyDisk, Stopped
from bitstation.testing.invariants import check_settled
from bitstation.testing.releases import TOOL_ID
from tests.crash.scenes import OLD, REPAIR, SCENES, Scene, Stage

MOST_CALLS = 600


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_stop_after_any_call_leaves_the_old_or_the_new_release(
    scene: Scene, quick_path: Path
) -> None:
    for number in itertools.count(1):
        folder = quick_path / str(number)
        folder.mkdir()
        stage = Stage(folder, scene)
        disk = FaultyDisk(stop_after=number)
        try:
            stage.act(disk)
        except Stopped:
            pass
        if not disk.has_struck:
            assert number > 5, "the scene changes next to nothing"
            return
        assert number < MOST_CALLS
        where = f"stopped after call {number}: {disk.calls[-1]}"
        try:
            _recovers(stage, number)
        except BaseException as error:
            error.add_note(where)
            raise
        Disk().remove_tree(folder)


def _recovers(stage: Stage, number: int) -> None:
    stage.check()
    if number % 2 and stage.updater().tree.current_version():
        # Recovery is the same whichever command comes next.
        assert stage.updater().verify().damaged == ()
        stage.check()
    stage.reach_goal()
    check_settled(stage.updater().tree)


def test_a_repair_stopped_after_any_call_is_finished_by_the_next(quick_path: Path) -> None:
    for number in itertools.count(1):
        folder = quick_path / str(number)
        folder.mkdir()
        stage = Stage(folder, REPAIR)
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
        Disk().remove_tree(folder)
