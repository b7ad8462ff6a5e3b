"""The ledger: which files were proved, with the stat facts that let us trust the proof.

A row says: the file with this identity had this digest while it had these stamps. A file whose
facts equal its row need not be read again. What stamps cannot show (bit rot, writes through a
memory mapping that is still dirty) is found by a deep verify only.

The database is a cache: when it is lost or damaged, files are hashed again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bitstation import host
from bitstation.core.digest import Digest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS proof (
    volume INTEGER NOT NULL, file_id TEXT NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, change_ns INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (volume, file_id)
) WITHOUT ROWID;
"""
_SCHEMA_VERSION = 1
_PROBE_NAME = "clock"
# Longest wait for the file system's clock to tick: 16 ms on NTFS, 10 ms at most on Linux.
_TICK_WAIT_S = 0.1


class Ledger:
    """Proofs of one tools root (or of one publisher); several processes may share it.

    Cost: one primary-key lookup a file, about 5 microseconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=30, isolation_level=None, check_same_thread=False
        )
        database.execute("PRAGMA journal_mode=WAL")
        # A commit may be lost with the power, never half written: then files are hashed again.
        database.execute("PRAGMA synchronous=NORMAL")
        if database.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
            database.execute("DROP TABLE IF EXISTS proof")
            database.executescript(_SCHEMA)
            database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        return database

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def proof(self, facts: host.StatFacts) -> Digest | None:
        """Digest of a file, when its facts are exactly those it was proved with."""
        if not facts.change_ns or not facts.is_file:
            return None
        row = self._db.execute(
            "SELECT size, mtime_ns, change_ns, digest FROM proof WHERE volume=? AND file_id=?",
            (_signed(facts.volume), str(facts.file_id)),
        ).fetchone()
        if row is None or row[:3] != (facts.size, facts.mtime_ns, facts.change_ns):
            return None
        return Digest(row[3])

    def contradicts(self, facts: host.StatFacts) -> bool:
        """Say whether the file was proved once and its facts have changed since."""
        row = self._db.execute(
            "SELECT 1 FROM proof WHERE volume=? AND file_id=?",
            (_signed(facts.volume), str(facts.file_id)),
        ).fetchone()
        return row is not None and self.proof(facts) is None

    def record(self, proofs: Iterable[tuple[host.StatFacts, Digest]]) -> None:
        """Remember files whose content was just proved and that nobody else writes.

        A proof in the same tick of the volume's clock as the file's last change says nothing of
        a later change in that tick ("racily clean", as git calls it): this waits for the tick to
        pass, and leaves out what then is still racy (volumes with stamps of 1 or 2 seconds).
        """
        rows = [(facts, digest) for facts, digest in proofs if facts.is_file and facts.change_ns]
        if not rows:
            return
        newest = max(max(facts.change_ns, facts.mtime_ns) for facts, _digest in rows)
        now = self._tick_past(newest)
        with self.locked():
            self._store((facts, digest) for facts, digest in rows if facts.change_ns < now)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold every other writer of this ledger off, for changes of stamps that are ours."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def restamp(self, facts: host.StatFacts, digest: Digest) -> None:
        """Carry a proof over a change of stamps that we made ourselves, inside ``locked()``.

        The caller saw the file proved before its own link, unlink or mode change, and passes the
        facts after it. Racy or not does not arise: the content is as old as its first proof.
        """
        self._store([(facts, digest)])

    def _store(self, rows: Iterable[tuple[host.StatFacts, Digest]]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO proof VALUES (?,?,?,?,?,?)",
            (
                (
                    _signed(facts.volume),
                    str(facts.file_id),
                    facts.size,
                    facts.mtime_ns,
                    facts.change_ns,
                    digest,
                )
                for facts, digest in rows
            ),
        )

    def _tick_past(self, stamp_ns: int) -> int:
        """Now by the clock of the ledger's own volume, later than ``stamp_ns`` if one tick does it.

        Read from a file's stamp, so that a server's clock or a jump of ours cannot mislead.
        """
        probe = self._path.with_name(_PROBE_NAME)
        probe.touch()
        deadline = time.monotonic() + _TICK_WAIT_S
        while True:
            os.utime(probe)
            now = host.stat_facts(probe).change_ns
            if now > stamp_ns or time.monotonic() > deadline:
                return now
            time.sleep(0.001)


def _signed(number: int) -> int:
    """SQLite's integers are signed."""
    return number - 2**64 if number >= 2**63 else number
