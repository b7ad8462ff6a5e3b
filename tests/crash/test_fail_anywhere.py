"""Any call that changes the disk may fail: a typed error, nothing lost, the next run succeeds."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from bitstation.testing.faulty_disk import FaultyDisk
from bitstation.testing.scenes import REPAIR, SCENES, Scene
from bitstation.testing.stage import Stage
from tests.crash.outcomes import error_of, holds


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
        error = error_of(stage, disk)
        if not disk.has_struck:
            return
        try:
            assert error is None or error.exit_code == fault.exit_code
            holds(stage, error)
        except BaseException as broken:
            broken.add_note(f"{errno.errorcode[number]} at call {call}: {disk.calls[call - 1]}")
            raise
        stage.clear()
