"""Who may take network jobs: decided from what lies on the disk now, and from nothing else."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility, host
from bitstation.core.eligibility import Reason
from bitstation.core.lifecycle import ToolState
from bitstation.storage.ledger import Ledger
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.worker.status import tool_status
from tests.engine.conftest import MakeUpdater

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
RELEASE = make_release({"models/a.gguf": MODEL, "main.py": b"print(1)", "lib/x.py": b"x"}, "2.0.0")
REQUIRED = ("2.0.0", RELEASE.manifest.manifest_hash)


@pytest.fixture
def installed(updater: DeltaUpdater) -> DeltaUpdater:
    updater.update(MemorySource(RELEASE))
    return updater


def reasons(updater: DeltaUpdater) -> tuple[Reason, ...]:
    return updater.explain_eligibility(*REQUIRED)[1]


def is_eligible(updater: DeltaUpdater) -> bool:
    return updater.get_network_eligibility(*REQUIRED) == Eligibility.ELIGIBLE


def file_of(updater: DeltaUpdater, path: str) -> Path:
    return updater.tree.release("2.0.0") / path


def test_right_after_an_install_it_is_eligible_and_nothing_is_hashed(
    updater: DeltaUpdater, hashed: list[str]
) -> None:
    updater.update(MemorySource(RELEASE))

    assert is_eligible(updater)
    assert hashed == []


def test_a_tool_that_is_not_there_is_no_installation(updater: DeltaUpdater) -> None:
    assert updater.get_network_eligibility(*REQUIRED) == "NO_INSTALLATION"
    assert reasons(updater) == (Reason.NOT_INSTALLED,)
    assert not updater.root.path.exists(), "asking creates nothing"


@pytest.mark.parametrize(
    ("version", "digest", "expected"),
    [
        ("2.0.1", RELEASE.manifest.manifest_hash, {Reason.VERSION_DIFFERS}),
        ("2.0.0", "0" * 64, {Reason.HASH_DIFFERS}),
        ("2.0.1", "0" * 64, {Reason.VERSION_DIFFERS, Reason.HASH_DIFFERS}),
    ],
)
def test_another_release_is_outdated(
    installed: DeltaUpdater, version: str, digest: str, expected: set[Reason]
) -> None:
    answer, why = installed.explain_eligibility(version, digest)
    assert (answer, set(why)) == (Eligibility.OUTDATED, expected)


def test_a_tampered_file_ends_it_until_it_is_repaired(installed: DeltaUpdater) -> None:
    file_of(installed, "main.py").write_bytes(b"print(6)")
    assert reasons(installed) == (Reason.DAMAGED,)

    assert [entry.path for entry in installed.verify().damaged] == ["main.py"]
    assert not is_eligible(installed), "proved to be damaged"

    installed.repair(MemorySource(RELEASE))
    assert is_eligible(installed)


def test_a_file_that_was_found_damaged_stays_damaged_in_the_status(
    installed: DeltaUpdater,
) -> None:
    """Its facts equal its row again once it was read, but the row says what is in it."""
    file_of(installed, "main.py").write_bytes(b"print(6)")
    for _ in range(2):
        with closing(Ledger(installed.root.ledger)) as ledger:
            status = tool_status(installed.tree, ledger)
        assert (status.state, status.damaged) == (ToolState.DAMAGED, ("main.py",))
        installed.verify()


def test_a_tampered_file_with_its_old_time_ends_it(installed: DeltaUpdater) -> None:
    path = file_of(installed, "main.py")
    before = path.stat()
    path.write_bytes(b"print(6)")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert not is_eligible(installed)


def test_a_touched_file_ends_it_until_it_is_verified(installed: DeltaUpdater) -> None:
    os.utime(file_of(installed, "main.py"))
    assert reasons(installed) == (Reason.DAMAGED,)

    verdict = installed.verify()

    assert (verdict.damaged, verdict.by_hash) == ((), 1)
    assert is_eligible(installed)


def test_a_file_that_is_put_in_its_place_is_read(
    installed: DeltaUpdater, tmp_path: Path, hashed: list[str]
) -> None:
    path, other = file_of(installed, "main.py"), tmp_path / "other"
    other.write_bytes(b"print(6)")
    shutil.copystat(path, other)
    other.replace(path)

    assert not is_eligible(installed)


@pytest.mark.parametrize("path", ["main.py", "lib"])
def test_what_is_gone_ends_it(installed: DeltaUpdater, path: str) -> None:
    target = file_of(installed, path)
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert reasons(installed) == (Reason.DAMAGED,)


def test_a_lost_ledger_costs_one_reading(installed: DeltaUpdater, hashed: list[str]) -> None:
    shutil.rmtree(installed.root.control)

    assert is_eligible(installed)
    assert sorted(hashed) == ["a.gguf", "main.py", "x.py"]


def test_a_lost_ledger_does_not_make_a_tampered_file_good(installed: DeltaUpdater) -> None:
    shutil.rmtree(installed.root.control)
    file_of(installed, "models/a.gguf").chmod(0o644)
    file_of(installed, "models/a.gguf").write_bytes(MODEL[::-1])

    assert reasons(installed) == (Reason.DAMAGED,)


def test_a_ledger_of_garbage_is_begun_anew(installed: DeltaUpdater) -> None:
    installed.root.ledger.write_bytes(b"garbage" * 1000)

    assert is_eligible(installed)
    with sqlite3.connect(installed.root.ledger) as database:
        assert database.execute("SELECT count(*) FROM proof").fetchone() == (3,)
    database.close()


def test_a_changed_manifest_is_not_the_installed_one(installed: DeltaUpdater) -> None:
    manifest = file_of(installed, "manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"print', b'"print'))
    assert is_eligible(installed)

    manifest.write_bytes(manifest.read_bytes().replace(b"main.py", b"nain.py"))

    assert installed.get_network_eligibility(*REQUIRED) == Eligibility.NO_INSTALLATION


def test_a_lost_pointer_is_no_installation(installed: DeltaUpdater) -> None:
    installed.tree.pointer.unlink()
    answer, why = installed.explain_eligibility(*REQUIRED)
    assert (answer, why) == (Eligibility.NO_INSTALLATION, (Reason.INTERRUPTED,))


def test_the_look_at_stamps_waits_for_a_run_that_is_changing_them(
    installed: DeltaUpdater, make_updater: MakeUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our own change of a stamp and its record, under the lock, nobody judges."""
    path = file_of(installed, "models/a.gguf")
    answers: list[Eligibility] = []
    asking = threading.Thread(
        target=lambda: answers.append(make_updater().get_network_eligibility(*REQUIRED))
    )
    waits, real = threading.Event(), Ledger.locked

    def locked(ledger: Ledger) -> AbstractContextManager[None]:
        if threading.current_thread() is asking:
            waits.set()
        return real(ledger)

    monkeypatch.setattr(Ledger, "locked", locked)
    with closing(Ledger(installed.root.ledger)) as ledger, ledger.locked():
        digest = ledger.proof(host.stat_facts(path))
        assert digest is not None
        os.link(path, path.with_name("second-name"))
        asking.start()
        while asking.is_alive() and not waits.wait(0.01):
            pass
        ledger.restamp(host.stat_facts(path), digest)
    asking.join()

    assert answers == [Eligibility.ELIGIBLE]


def test_the_database_is_never_deleted_because_it_is_busy(installed: DeltaUpdater) -> None:
    database = sqlite3.connect(installed.root.ledger)
    try:
        database.execute("BEGIN IMMEDIATE")
        assert is_eligible(installed), "reading needs no lock"
    finally:
        database.close()
    assert installed.tree.tool_id == TOOL_ID
