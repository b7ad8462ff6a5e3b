"""Runs in processes of their own, begun as Windows begins them, that stop where a test says."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

from bitstation import BitStationError, DeltaUpdater
from bitstation.core.names import version_key
from bitstation.publisher.destination import Destination
from bitstation.publisher.freight import wishes_in
from bitstation.publisher.hq_destination import HqDestination
from bitstation.publisher.manifest import MakingOptions
from bitstation.publisher.publish import Publisher
from bitstation.publisher.static_destination import StaticDestination
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import UNSIGNED, Release, make_release
from bitstation.testing.volumes import NoClone
from bitstation.transport.hq import HqClient
from bitstation.transport.mirror import MirrorSource
from bitstation.worker.run import Options
from tests.attack.updates import FIRST, SECOND, source_of

PATIENCE_S = 60
SHARED = bytes(range(256)) * (LINK_FROM_BYTES // 256)
SPAWN = multiprocessing.get_context("spawn")


class Beside:
    """A run in another process."""

    def __init__(self, process: BaseProcess, go: Event, ends: Any) -> None:
        self.process = process
        self._go = go
        self._ends = ends

    def finish(self) -> str:
        """Let it go on to its end; done, or the code of the error that it ended with."""
        self._go.set()
        end: str = self._ends.get(timeout=PATIENCE_S)
        self.process.join(PATIENCE_S)
        return end

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.join(PATIENCE_S)


@contextmanager
def updating_beside(tool: Path) -> Iterator[Beside]:
    """Another process stands in the midst of an update to the second release."""
    inside, go, ends = SPAWN.Event(), SPAWN.Event(), SPAWN.Queue()
    process = SPAWN.Process(target=_update, args=(tool, inside, go, ends), daemon=True)
    process.start()
    try:
        assert inside.wait(PATIENCE_S)
        yield Beside(process, go, ends)
    finally:
        process.kill()
        process.join(PATIENCE_S)


def _update(tool: Path, inside: Event, go: Event, ends: Any) -> None:
    source = source_of(SECOND, FIRST)

    def wait(_asked: object) -> None:
        inside.set()
        go.wait(PATIENCE_S)

    source.before_open = wait
    ends.put(ending(lambda: DeltaUpdater(tool, disk=QuickDisk(), options=UNSIGNED).update(source)))


def ending(act: Any) -> str:
    """Do it: done, or the code of its error."""
    try:
        act()
    except BitStationError as error:
        return error.code
    return "done"


def all_at_once(target: Any, arguments: Sequence[tuple[Any, ...]]) -> list[str]:
    """Processes that all begin at the same moment; how each ended."""
    barrier, ends = SPAWN.Barrier(len(arguments)), SPAWN.Queue()
    processes = [
        SPAWN.Process(target=target, args=(*each, barrier, ends), daemon=True) for each in arguments
    ]
    for process in processes:
        process.start()
    found = [ends.get(timeout=PATIENCE_S) for _process in processes]
    for process in processes:
        process.join(PATIENCE_S)
    return found


def update_once(tool: Path, barrier: Barrier, ends: Any) -> None:
    """Update to the second release."""
    barrier.wait(PATIENCE_S)
    updater = DeltaUpdater(tool, disk=QuickDisk(), options=UNSIGNED)
    ends.put(ending(lambda: updater.update(source_of(SECOND, FIRST))))


def lives_of(name: str) -> list[Release]:
    """Releases of a tool that share their model with those of all others."""
    return [
        make_release({"model": SHARED, "n": b"%d" % number}, f"1.{number}.0", tool_id=name)
        for number in range(6)
    ]


def live(tool: Path, barrier: Barrier, ends: Any) -> None:
    """Go through all of them, keeping none."""
    updater = DeltaUpdater(tool, disk=NoClone(), options=Options(allow_unsigned=True, keep=0))
    barrier.wait(PATIENCE_S)
    found = [
        ending(lambda each=each: updater.update(MemorySource(each))) for each in lives_of(tool.name)
    ]  # type: ignore[misc]
    ends.put(next((end for end in found if end != "done"), "done"))


def publish_once(shelf: Path, where: str, token: str, barrier: Barrier, ends: Any) -> None:
    """Publish the release in a folder, to a folder or to an HQ, as a machine of its own."""
    os.environ["BITSTATION_CACHE_DIR"] = str(shelf.parent / f"{shelf.name}-cache")
    ledger = Ledger(shelf.parent / f"{shelf.name}-ledger")
    destination: Destination
    if where.startswith("http"):
        destination = HqDestination(HqClient(where, lambda: token), Stop())
    else:
        destination = StaticDestination(Path(where), ledger, Stop(), QuickDisk())
    publisher = Publisher(destination, ledger, Stop(), bases=0)
    [wish] = wishes_in(shelf, MakingOptions())
    barrier.wait(PATIENCE_S)
    ends.put(f"{shelf.name}: {ending(lambda: publisher.publish(wish))}")
    destination.close()


def follow(tool: Path, mirror: Path, last: str, barrier: Barrier, ends: Any) -> None:
    """Update from a mirror again and again, until its last version is here."""
    barrier.wait(PATIENCE_S)
    updater, source = DeltaUpdater(tool, disk=QuickDisk(), options=UNSIGNED), MirrorSource(mirror)
    seen = ["1.0.0"]
    while updater.tree.current_version() != last:
        end = ending(lambda: updater.update(source))
        version = updater.tree.current_version() or "0"
        is_back = version_key(version) < version_key(seen[-1])
        if end != "done" or is_back or updater.verify(deep=True).damaged:
            ends.put(f"{end} at {version} after {seen}")
            return
        seen.append(version)
    ends.put("done")
