"""One run at a time on a tool, any number on different tools, and no wait for the dead."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, host
from bitstation.errors import StoreLocked
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.invariants import wrong_files
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import make_release
from tests.engine.conftest import MakeUpdater

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
FIRST = make_release({"main.py": b"1", "model": MODEL}, "1.0.0")
SECOND = make_release({"main.py": b"2", "model": MODEL}, "1.1.0")

HOLD = """
import sys
from pathlib import Path
from bitstation import host
lock = host.FileLock(Path(sys.argv[1]))
assert lock.acquire()
lock.write_holder("process 4711 since noon")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds a lock until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "held"
        yield process
        process.kill()


@pytest.mark.parametrize("act", ["update", "rollback", "verify", "repair", "gc", "uninstall"])
def test_a_second_run_is_refused_and_told_who_holds_the_lock(
    updater: DeltaUpdater, act: str
) -> None:
    for release in (FIRST, SECOND):
        updater.update(MemorySource(release))
    arguments = [MemorySource(SECOND)] if act in ("update", "repair") else []

    with held_elsewhere(updater.tree.lock), pytest.raises(StoreLocked) as failure:
        getattr(updater, act)(*arguments)

    assert failure.value.exit_code == 75
    assert "process 4711 since noon" in str(failure.value)
    assert updater.tree.current_version() == "1.1.0"


def test_the_lock_of_a_process_that_was_killed_holds_nobody_up(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(FIRST))
    with held_elsewhere(updater.tree.lock):
        pass

    updater.update(MemorySource(SECOND))

    assert updater.tree.current_version() == "1.1.0"


def test_the_holder_names_itself(make_updater: MakeUpdater) -> None:
    notes: list[str] = []
    lock = host.FileLock(make_updater().tree.lock)

    make_updater(listeners=(lambda _event: notes.append(lock.read_holder()),)).update(
        MemorySource(FIRST)
    )

    assert notes[0].startswith(f"process {os.getpid()} since 20")


def test_two_updates_of_one_tool_at_once_do_one_and_refuse_one(
    make_updater: MakeUpdater,
) -> None:
    make_updater().update(MemorySource(FIRST))
    inside, go_on, outcomes = threading.Event(), threading.Event(), []
    slow = MemorySource(SECOND)

    def wait(_asked: object) -> None:
        inside.set()
        go_on.wait(60)

    slow.before_open = wait
    first = threading.Thread(target=lambda: make_updater().update(slow))
    first.start()
    assert inside.wait(60)
    try:
        make_updater().update(MemorySource(SECOND))
    except StoreLocked:
        outcomes.append("refused")
    finally:
        go_on.set()
        first.join()

    assert outcomes == ["refused"]
    assert make_updater().tree.current_version() == "1.1.0"


def test_tools_that_share_their_models_are_updated_at_once(make_updater: MakeUpdater) -> None:
    """Links, removals and their stamps of several tools go through one ledger."""
    names = [f"tool-{number}" for number in range(3)]
    made = {
        name: [
            make_release(
                {"model": MODEL, "main.py": f"{name} {n}".encode()}, f"1.{n}.0", tool_id=name
            )
            for n in range(3)
        ]
        for name in names
    }
    failures: list[BaseException] = []

    def live(name: str) -> None:
        try:
            for release in made[name]:
                make_updater(name).update(MemorySource(release, concurrency=2))
            make_updater(name).rollback()
            make_updater(name).gc()
            make_updater(name).update(MemorySource(made[name][-1]))
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=live, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    for name in names:
        tree, newest = make_updater(name).tree, made[name][-1]
        assert tree.current_version() == newest.version
        assert wrong_files(tree.release(newest.version), newest.manifest) == []
        assert make_updater(name).verify().damaged == ()


def test_a_new_ledger_is_begun_by_several_at_once(make_updater: MakeUpdater) -> None:
    names = [f"tool-{number}" for number in range(8)]
    start, failures = threading.Barrier(len(names)), []

    def install(name: str) -> None:
        release = make_release({"main.py": name.encode()}, tool_id=name)
        start.wait()
        try:
            make_updater(name).update(MemorySource(release))
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=install, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(make_updater().root.tools()) == len(names)


def test_a_failed_first_install_leaves_no_folder_and_no_lock(updater: DeltaUpdater) -> None:
    source = MemorySource()
    with pytest.raises(Exception, match="does not have"):
        updater.update(source)
    assert not updater.tree.path.exists()


def test_installs_that_fail_and_succeed_side_by_side_do_not_disturb_each_other(
    make_updater: MakeUpdater,
) -> None:
    """A failing run removes the folder of the lock; a run that waits at its door makes it anew."""
    failures: list[BaseException] = []

    def fail_often() -> None:
        for _ in range(15):
            try:
                make_updater().update(MemorySource())
            except StoreLocked:
                pass
            except Exception as error:  # noqa: BLE001 - judged here
                if "does not have" not in str(error):
                    failures.append(error)

    threads = [threading.Thread(target=fail_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    make_updater().update(MemorySource(FIRST))
