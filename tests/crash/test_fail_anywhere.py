"""Any call that changes the disk may fail: a typed error, nothing lost, the next run succeeds."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from bitstation import BitStationError, Eligibility
from bitstation.testing.faulty_disk import FaultyDisk
from bitstation.testing.releases import TOOL_ID
from tests.crash.scenes import REPAIR, SCENES, Scene, Stage


class Fault(NamedTuple):
    """The exit code of the contract, whether it stays once it has come, and at which calls."""

    exit_code: int
    fails_on: bool
    calls: tuple[int, int]
    """First call and step: every call fails by EIO, and by one of the others."""


FAULTS = {
    errno.EIO: Fault(1, False, (1, 1)),
    errno.ENOSPC: Fault(50, True, (1, 2)),
    errno.EACCES: Fault(51, False, (2, 2)),
}


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
@pytest.mark.parametrize("scene", [*SCENES, REPAIR], ids=lambda scene: scene.name)
def test_a_refused_call_is_a_typed_error_and_costs_nothing_that_was_there(
    scene: Scene, number: int, quick_path: Path
) -> None:
    fault = FAULTS[number]
    for call in itertools.count(*fault.calls):
        stage = Stage(quick_path, scene)
        disk = FaultyDisk(
            fail_at=call,
            error=lambda: OSError(number, os.strerror(number)),
            fails_on=fault.fails_on,
        )
        exit_code = _exit_code(stage, disk)
        if not disk.has_struck:
            return
        try:
            assert exit_code in (0, fault.exit_code)
            _holds(stage, exit_code != 0)
        except BaseException as error:
            error.add_note(f"{errno.errorcode[number]} at call {call}: {disk.calls[call - 1]}")
            raise
        stage.clear()


def _exit_code(stage: Stage, disk: FaultyDisk) -> int:
    try:
        stage.act(disk)
    except BitStationError as error:
        return error.exit_code
    return 0


def _holds(stage: Stage, failed: bool) -> None:
    if stage.scene is not REPAIR:
        stage.check()
        assert _is_proved(stage), "a file that is whole was un-proved"
    stage.reach_goal()
    if failed:
        stage.check()


def _is_proved(stage: Stage) -> bool:
    """Say whether what is active is eligible without any further work."""
    updater = stage.updater()
    version = updater.tree.current_version()
    manifest = updater.tree.manifest(version) if version else None
    if manifest is None:
        return stage.scene.may_be_absent
    answer = updater.get_network_eligibility(manifest.tool_version, manifest.manifest_hash)
    assert updater.tree.tool_id == TOOL_ID
    return answer == Eligibility.ELIGIBLE
