"""C, model (a): a real process ends itself, as by kill -9, at each named moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation.testing.crash_points import POINTS
from bitstation.testing.crashes import judge, record
from bitstation.testing.recording_disk import Call
from bitstation.testing.scenes import ALL_SCENES
from bitstation.testing.stage import Stage
from tests.crash.naming import existing_points

_calls: dict[str, list[Call]] = {}


def calls_of(scene: str, folder: Path) -> list[Call]:
    if scene not in _calls:
        (folder / "looked at").mkdir()
        stage = Stage(folder / "looked at", ALL_SCENES[scene])
        _calls[scene] = record(stage).calls
    return _calls[scene]


def times(point: str, folder: Path) -> Iterator[int]:
    """Where a moment comes often: the first, and one in the midst."""
    found = POINTS[point].times(calls_of(POINTS[point].scene, folder))
    assert found, "the scene does not come by it"
    yield from {found[0], found[len(found) // 2]}


@pytest.mark.parametrize("point", existing_points())
def test_c_killed(point: str, quick_path: Path) -> None:
    for nth in times(point, quick_path):
        folder = quick_path / str(nth)
        folder.mkdir()
        stage = Stage(folder, ALL_SCENES[POINTS[point].scene])
        module = "bitstation.testing.dying_disk"
        command = [sys.executable, "-m", module, str(folder), stage.scene.name, point, str(nth)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        # On Windows the signal's number is the exit code.
        assert ended.returncode in (-9, 15), ended.stdout + ended.stderr
        judge(stage)


def test_every_point_of_the_checklist_is_named() -> None:
    assert list(POINTS) == [f"c{number:02}" for number in range(1, 33)]
    assert all(point.exists or point.owner for point in POINTS.values())
    assert {point.scene for point in POINTS.values() if point.exists} <= ALL_SCENES.keys()
