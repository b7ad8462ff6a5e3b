"""A process that ends itself at a named moment, as by ``kill -9``; for tests to start.

``python -m bitstation.testing.dying_disk FOLDER SCENE POINT NTH`` plays a scene on the stage that
was set up in ``FOLDER`` and dies at the n-th time that the point comes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from bitstation import DeltaUpdater
from bitstation.storage.durable import Disk
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.crash_points import POINTS, CrashPoint
from bitstation.testing.recording_disk import Call, RecordingDisk
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.scenes import ALL_SCENES, source_of


class DyingDisk(RecordingDisk):
    """Does every call as a real disk does, syncs included, until the process is no more."""

    def __init__(self, folder: Path, ledger: Path, point: CrashPoint, nth: int) -> None:
        super().__init__(folder, ledger)
        self._point = point
        self._left = nth

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with self._lock:
            self._left -= self._point.is_meant(Call(name, self._named(args), 0))
            is_now = self._left == 0
            if is_now and self._point.is_before:
                die()
            done = super()._call(name, getattr(Disk, name), *args, **options)
            if is_now:
                die()
            return done


def die() -> NoReturn:
    """End this process without another instruction of it."""
    # Windows knows no other signal by which it ends a process at once.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    raise AssertionError("it is over")


def main(folder: Path, scene_name: str, point_name: str, nth: int) -> None:
    """Play the scene; the exit code says whether the process lived to its end."""
    scene, root = ALL_SCENES[scene_name], folder / "tools"
    disk = DyingDisk(folder, ToolsRoot(root).ledger, POINTS[point_name], nth)
    scene.act(
        DeltaUpdater(root / TOOL_ID, disk=disk, options=scene.options), source_of(scene, folder)
    )
    disk.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
