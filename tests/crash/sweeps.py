"""A fault at the first call of some kind, then at the second, until a run meets none."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from bitstation import BitStationError
from bitstation.storage.durable import Disk
from bitstation.testing.faulty_disk import COUNTED, FaultyDisk, QuickDisk
from bitstation.testing.faulty_reads import FaultyReads, Strike
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import make_release
from bitstation.testing.scenes import MODEL, OTHER, SCENES, Scene, update_to, used
from bitstation.testing.stage import Stage
from tests.crash.outcomes import error_of, holds

OPENS = ("open_new", "open_within", "open_append")
WRITES = ("write", "write_at", "preallocate", "truncate")
SYNCS = ("sync_file", "sync_path", "sync_dir")
TAKE_SPACE = (*OPENS, *WRITES, "make_dir", "link", "replace", "symlink")
TAKE_NAMES = (*OPENS, "make_dir", "link", "replace")
TAKE_HANDLES = (*OPENS, "sync_path", "sync_dir")

_OLD = make_release({"model": MODEL, "src/main.py": b"1"}, "1.0.0")
_NEW = make_release({"moved": MODEL, "src/main.py": b"2", "new": MODEL[1:]}, "1.1.0")
SMALL = Scene(
    "small update",
    (update_to(_OLD), used),
    update_to(_NEW),
    _NEW,
    (_OLD, _NEW),
    make_source=lambda: MemorySource(_OLD, _NEW, OTHER),
)
_NAMED = {scene.name: scene for scene in SCENES}
RETIRING = _NAMED["update that retires a release"]
BLOCKS = _NAMED["update by blocks"]
BLOCKS_RESUMED = _NAMED["resumed update by blocks"]


class Ended(NamedTuple):
    """How the run of one stage ended, before anything was put right: None where it succeeded."""

    stage: Stage
    disk: FaultyDisk
    error: BitStationError | None

    @property
    def exit_code(self) -> int:
        """As the command line would give it."""
        return self.error.exit_code if self.error else 0


def refusal(number: int) -> Callable[[], OSError]:
    """An error of the system, as often as it is asked for."""
    return lambda: OSError(number, os.strerror(number))


def refused_read(number: int) -> Strike:
    """The same, for a read."""

    def refuse(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    return refuse


def each_refused(
    scene: Scene,
    folder: Path,
    number: int,
    kinds: Collection[str] = COUNTED,
    *,
    fails_on: bool = False,
    make_disk: Callable[..., FaultyDisk] = FaultyDisk,
) -> Iterator[Ended]:
    """Runs in which each call of some kinds is refused in turn; what must hold is checked after."""
    for call in itertools.count(1):
        stage = Stage(folder, scene)
        disk = make_disk(fail_at=call, error=refusal(number), fails_on=fails_on, kinds=kinds)
        error = error_of(stage, disk)
        if disk.has_struck:
            with noting(f"{errno.errorcode[number]} at call {call}: {disk.calls[call - 1]}"):
                yield Ended(stage, disk, error)
                holds(stage, error)
        stage.clear()
        if not disk.has_struck:
            assert call > 1, "the scene makes no such call"
            return


def refuse_each(
    scene: Scene,
    folder: Path,
    number: int,
    kinds: Collection[str] = COUNTED,
    *,
    fails_on: bool = False,
) -> set[int]:
    """Refuse each call of some kinds in turn; the exit codes that were met, 0 where it healed."""
    runs = each_refused(scene, folder, number, kinds, fails_on=fails_on)
    return {ended.exit_code for ended in runs}


def strike_each(
    scene: Scene,
    folder: Path,
    *,
    check: Callable[[Stage], object] = lambda _stage: None,
    disk: Disk | None = None,
    **faults: object,
) -> set[int]:
    """The same for each open and read of a file below the tools root."""
    met: set[int] = set()
    for call in itertools.count(1):
        stage = Stage(folder, scene)
        with FaultyReads(stage.root, call, **faults) as reads:  # type: ignore[arg-type]
            error = error_of(stage, disk or QuickDisk())
        if reads.has_struck:
            with noting(f"at {call}: {reads.calls[call - 1]}"):
                met.add(error.exit_code if error else 0)
                check(stage)
                holds(stage, error)
        stage.clear()
        if not reads.has_struck:
            assert call > 20, "the scene reads next to nothing"
            return met
    raise AssertionError


class noting:
    """What fails within is told with these words."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            error.add_note(self._words)
