"""X1-X10 and X14: runs beside each other, in threads and in processes, and what the dead leave."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility
from bitstation.errors import StoreLocked, VolumeUnfit
from bitstation.publisher.freight import wishes_in
from bitstation.publisher.manifest import MakingOptions
from bitstation.publisher.publish import Publisher
from bitstation.publisher.static_destination import StaticDestination
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.releases import TOOL_ID, UNSIGNED
from bitstation.testing.volumes import refuse
from bitstation.worker.run import Options
from tests.attack.beside import (
    all_at_once,
    live,
    lives_of,
    update_once,
    updating_beside,
)
from tests.attack.conftest import MakeUpdater
from tests.attack.updates import (
    EDITED,
    FIRST,
    MODEL,
    NEW_MODEL,
    SECOND,
    asked_of,
    is_current,
    release_of,
    source_of,
    updates,
)

LARGE = MODEL * (LINK_FROM_BYTES // len(MODEL) + 1)


def is_refused(act: object, *arguments: object) -> str:
    """The act finds the tool locked; who it says holds it."""
    with pytest.raises(StoreLocked) as caught:
        act(*arguments)  # type: ignore[operator]
    assert (caught.value.exit_code, caught.value.retryable) == (75, True)
    return str(caught.value)


def test_x01_two_updaters_of_a_tool(installed: DeltaUpdater) -> None:
    with updating_beside(installed.tree.path) as beside:
        words = is_refused(installed.update, source_of(SECOND, FIRST))
        assert f"process {beside.process.pid} since 20" in words
        assert installed.tree.current_version() == "1.0.0"
        assert beside.finish() == "done"
    is_current(installed, SECOND.release)


def test_x01_four_updaters_at_the_same_moment(root: Path) -> None:
    ends = all_at_once(update_once, [(root / TOOL_ID,)] * 4)
    assert set(ends) <= {"done", "locked"}
    assert "done" in ends
    is_current(DeltaUpdater(root / TOOL_ID, options=UNSIGNED), SECOND.release)


def test_x02_two_tools_that_share_blobs(root: Path) -> None:
    """Processes through one ledger: each other's links and removals un-prove nothing."""
    names = [TOOL_ID, "other-tool", "third-tool"]
    assert all_at_once(live, [(root / name,) for name in names]) == ["done"] * 3
    for name in names:
        updater = DeltaUpdater(root / name, disk=QuickDisk(), options=UNSIGNED)
        is_current(updater, lives_of(name)[-1])
        assert updater.verify().by_hash == 0
        assert updater.verify(deep=True).damaged == ()


def test_x03_update_and_collection(installed: DeltaUpdater, make_updater: MakeUpdater) -> None:
    """Of one tool: one after the other. A collection of all others takes nothing that is needed."""
    other = release_of({"model.bin": EDITED}, "1.0.0", tool_id="other-tool")
    updates(make_updater("other-tool"), source_of(other), other)
    with updating_beside(installed.tree.path) as beside:
        is_refused(installed.gc)
        make_updater("other-tool").gc()
        assert beside.finish() == "done"
    is_current(installed, SECOND.release)
    is_current(make_updater("other-tool"), other.release)
    installed.gc()


def test_x04_update_and_deep_verification(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    """A proof of the same tool waits its turn; who only looks sees the earlier release."""
    other = release_of({"model.bin": MODEL}, "1.0.0", tool_id="other-tool")
    updates(make_updater("other-tool"), source_of(other), other)
    with updating_beside(installed.tree.path) as beside:
        with pytest.raises(StoreLocked):
            installed.verify(deep=True)
        manifest = FIRST.release.manifest
        answer = installed.get_network_eligibility("1.0.0", manifest.manifest_hash)
        assert answer == Eligibility.ELIGIBLE
        assert make_updater("other-tool").verify(deep=True).damaged == ()
        assert beside.finish() == "done"
    assert installed.verify(deep=True).damaged == ()
    is_current(installed, SECOND.release)


PROGRAM = b"""
import hashlib, mmap, os, sys
os.chdir(os.path.dirname(os.path.abspath(__file__)))
with open("model.bin", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as model:
    print("ready", flush=True)
    sys.stdin.readline()
    print(hashlib.sha256(model).hexdigest(), flush=True)
"""


def test_x05_update_and_a_running_program(make_updater: MakeUpdater) -> None:
    """It runs in its folder, its model mapped; two updates later it still sees what it began with.

    On Windows its release stays until it ends, elsewhere only its name goes.
    """
    updater = make_updater(options=Options(allow_unsigned=True, keep=0))
    running = release_of({"model.bin": LARGE, "run.py": PROGRAM}, "1.0.0")
    nexts = [
        release_of({"model.bin": LARGE[:-1] + b"%d" % n, "run.py": PROGRAM}, f"1.{n}.0")
        for n in (1, 2)
    ]
    updates(updater, source_of(running), running)
    program = updater.tree.release("1.0.0") / "run.py"
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        base = running
        for target in nexts:
            updater.update(source_of(target, base))
            assert updater.tree.current_version() == target.release.version
            base = target
        said, _nothing = process.communicate("go on\n", timeout=60)
    assert said.strip() == hashlib.sha256(LARGE).hexdigest()
    updater.gc()
    is_current(updater, nexts[-1].release)
    assert updater.tree.kept_versions() == ["1.2.0"]


def test_x06_update_and_rollback(installed: DeltaUpdater) -> None:
    with updating_beside(installed.tree.path) as beside:
        is_refused(installed.rollback)
        assert beside.finish() == "done"
    assert installed.rollback().to_version == "1.0.0"
    is_current(installed, FIRST.release)


def test_x07_one_blob_of_two_tools_at_the_same_moment(root: Path) -> None:
    """Neither waits for the other, whose connection may be the slower one; each is whole."""
    names, start, sources = (TOOL_ID, "other-tool"), threading.Barrier(2), {}
    for name in names:
        sources[name] = source_of(release_of({"model.bin": EDITED}, "1.0.0", tool_id=name))
        sources[name].before_open = _once(start)
    failures: list[BaseException] = []

    def install(name: str) -> None:
        try:
            DeltaUpdater(root / name, disk=QuickDisk(), options=UNSIGNED).update(sources[name])
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=install, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for name in names:
        assert asked_of(sources[name], NEW_MODEL) == len(EDITED)
        assert DeltaUpdater(root / name, options=UNSIGNED).verify(deep=True).damaged == ()


def _once(start: threading.Barrier) -> object:
    waited: list[bool] = []

    def wait(_asked: object) -> None:
        if not waited:
            waited.append(True)
            start.wait(60)

    return wait


def test_x07_one_blob_of_two_versions_one_after_the_other(installed: DeltaUpdater) -> None:
    updates(installed, source_of(SECOND, FIRST), SECOND)
    third = release_of({"model.bin": EDITED, "run.py": b"print(3)"}, "1.2.0")
    source = source_of(third, SECOND)
    updates(installed, source, third)
    assert asked_of(source, NEW_MODEL) == 0


def test_x08_stale_lock_of_a_dead_process(installed: DeltaUpdater) -> None:
    """Killed in the midst of an update: the system gave its lock back, the next run goes on."""
    with updating_beside(installed.tree.path) as beside:
        beside.kill()
    assert installed.tree.lock.read_text().startswith(f"process {beside.process.pid} ")
    updates(installed, source_of(SECOND, FIRST), SECOND)


@pytest.mark.parametrize("number", [os.getpid(), os.getppid(), 1])
def test_x09_reused_process_number(installed: DeltaUpdater, number: int) -> None:
    """A note in the lock's file is for people alone: that number is another process today."""
    installed.tree.lock.write_text(f"process {number} since 2026-01-01T00:00:00+00:00")
    updates(installed, source_of(SECOND, FIRST), SECOND)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: flock")
def test_x10_lock_on_a_network_volume(
    installed: DeltaUpdater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That has none: neither a worker nor a publisher begins what two could do at once."""
    shelf = SECOND.release.write(tmp_path / "shelf")
    ledger = Ledger(tmp_path / "ledger")
    destination = StaticDestination(tmp_path / "mirror", ledger, Stop(), QuickDisk())
    [wish] = wishes_in(shelf, MakingOptions())
    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", _no_locks)
        for act in (installed.gc, installed.rollback, installed.verify, installed.uninstall):
            with pytest.raises(VolumeUnfit):
                act()
        with pytest.raises(VolumeUnfit):
            Publisher(destination, ledger, Stop(), bases=0).publish(wish)
    ledger.close()
    is_current(installed, FIRST.release)
    assert not list((tmp_path / "mirror").rglob("*.json"))


def _no_locks(_fd: int, _operation: int) -> None:
    raise refuse(errno.ENOLCK)


def test_x14_uninstalling_during_an_update(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    """Of the same tool it is refused; of the tool whose files were to be reused it is not."""
    other = release_of({"a.bin": EDITED, "b.bin": LARGE}, "1.0.0", tool_id="other-tool")
    updates(make_updater("other-tool"), source_of(other), other)
    with updating_beside(installed.tree.path) as beside:
        is_refused(installed.uninstall)
        make_updater("other-tool").uninstall()
        assert beside.finish() == "done"
    is_current(installed, SECOND.release)
    installed.uninstall()
    assert not installed.tree.path.exists()
