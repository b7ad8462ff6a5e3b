"""F29, F31, F33 and F34: room that ends in the midst of an update, here or there."""

from __future__ import annotations

import contextlib
import errno
import itertools
import random
import sqlite3
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.errors import DiskFull
from bitstation.storage import ledger
from bitstation.storage.journal import read_journal
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import Invariants
from bitstation.testing.mapped import Mapped, map_release
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, UNSIGNED, make_release
from bitstation.testing.volumes import FullBelow, Room
from tests.attack.updates import (
    FIRST,
    SECOND,
    asked_of,
    source_of,
    updates,
)

DATA = random.Random(3).randbytes(3_000_000)
LARGE = map_release(
    make_release({"model.bin": DATA, "run.py": b"print(2)"}, "1.1.0"), block_bytes=50_000
)
STEP_BYTES = 250_000


def is_full(updater: DeltaUpdater, source: MemorySource, target: Mapped) -> bool:
    """Update: says whether the room ended, which may be behind the commit as well."""
    invariants = Invariants(updater.root.path)
    error = None
    try:
        updater.update(source, target.release.version)
    except DiskFull as caught:
        error = caught
    if error is not None:
        assert (error.exit_code, error.retryable) == (50, True)
        allowed = (FIRST.release.manifest, target.release.manifest)
        invariants.check(TOOL_ID, *allowed, absent=updater.tree.current_version() is None)
    return error is not None


def kept_bytes(updater: DeltaUpdater) -> int:
    """Bytes of the model's blocks that an interrupted run wrote down as there."""
    runs = [run for runs in read_journal(updater.tree.journal).blocks.values() for run in runs]
    lengths = LARGE.atlas.maps[LARGE.digest("model.bin")].lengths
    return sum(lengths[number] for number in {number for run in runs for number in run})


def fills_up(folder: Path, number: int, source: MemorySource) -> list[int]:
    """Let the room of a first install end ever later; how much was kept of the model each time."""
    kept = []
    for room in itertools.count(0, STEP_BYTES):
        updater = DeltaUpdater(folder / str(room) / TOOL_ID, disk=QuickDisk(), options=UNSIGNED)
        if not is_full(
            DeltaUpdater(updater.tree.path, disk=Room(room, number), options=UNSIGNED),
            source,
            LARGE,
        ):
            return kept
        kept.append(kept_bytes(updater))
        source.asked.clear()
        updates(updater, source, LARGE)
        assert asked_of(source, LARGE.digest("model.bin")) <= len(DATA) - kept[-1]
    raise AssertionError


def test_f29_compressed_or_encrypted_volume(tmp_path: Path) -> None:
    """What is reserved there is no promise: the room ends in the midst of a file all the same."""
    kept = fills_up(tmp_path, errno.ENOSPC, MemorySource(LARGE.release))
    assert len(kept) > len(DATA) // STEP_BYTES


def test_f31_quota_of_the_user(tmp_path: Path) -> None:
    """The volume has room by its own words; this user has not."""
    kept = fills_up(tmp_path, errno.EDQUOT, source_of(LARGE))
    assert len(kept) > len(DATA) // STEP_BYTES
    assert max(kept) > len(DATA) // 2


def test_f33_full_only_where_the_journal_lies(tmp_path: Path) -> None:
    for call in itertools.count(1):
        installed = DeltaUpdater(tmp_path / str(call) / TOOL_ID, disk=QuickDisk(), options=UNSIGNED)
        updates(installed, source_of(FIRST), FIRST)
        disk = FullBelow(installed.tree.control, call)
        updater = DeltaUpdater(installed.tree.path, disk=disk, options=UNSIGNED)
        assert is_full(updater, source_of(SECOND, FIRST), SECOND) == disk.has_struck
        updates(installed, source_of(SECOND, FIRST), SECOND)
        if not disk.has_struck:
            break
    assert call > 15


def test_f33_full_only_where_the_ledger_lies(
    installed: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own word for it, from its own limit."""
    real = ledger._connected

    def full(path: Path | str) -> sqlite3.Connection:
        database = real(path)
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count={pages}")
        with contextlib.suppress(sqlite3.OperationalError):
            for number in range(1000):
                row = (0, f"filler {number}", 0, 0, 0, "0" * 64)
                database.execute("INSERT INTO proof VALUES (?,?,?,?,?,?)", row)
        return database

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_connected", full)
        assert is_full(installed, source_of(SECOND, FIRST), SECOND)
    updates(installed, source_of(SECOND, FIRST), SECOND)


def test_f34_room_taken_by_another_program(installed: DeltaUpdater) -> None:
    """Each run goes on from where the last one had to stop: pause by pause it comes to its end."""
    source = source_of(LARGE)
    kept = [0]
    while is_full(
        DeltaUpdater(installed.tree.path, disk=Room(700_000), options=UNSIGNED), source, LARGE
    ):
        kept.append(kept_bytes(installed))
        assert kept[-1] > kept[-2]
        assert asked_of(source, LARGE.digest("model.bin")) <= len(DATA) - kept[-2]
        source.asked.clear()
    assert len(kept) > 4
    updates(installed, source, LARGE)
