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
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.errors import StoreError
from bitstation.storage.faults import database_error, is_database_damaged
from bitstation.storage.private import make_private_file

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS proof (
    volume INTEGER NOT NULL, file_id TEXT NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, change_ns INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (volume, file_id)
) WITHOUT ROWID
"""
_SCHEMA_VERSION = 1
_MEMORY = ":memory:"
_PROBE_NAME = "clock"
_BUSY_WAIT_S = 30.0
# Longest wait for the file system's clock to tick: 16 ms on NTFS, 10 ms at most on Linux.
_TICK_WAIT_S = 0.1
# FAT counts in steps of 2 s, older systems in whole seconds; finer clocks hit one by chance only.
_COARSEST_NS = 2_000_000_000


class Ledger:
    """Proofs of one tools root (or of one publisher); several processes and threads may share it.

    Raises StoreError, from every method, when the database cannot be used; one that is damaged is
    begun anew. Cost: one primary-key lookup a file, about 5 microseconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._holds = 0
        host.make_dir(path.parent)
        for name in (path, path.with_name(_PROBE_NAME)):
            _forget_shared(name)
        self._db = self._opened()

    @classmethod
    def for_looking(cls, path: Path) -> Ledger:
        """Ledger for who may not be allowed to write: then it proves nothing and keeps nothing."""
        try:
            return cls(path)
        except (StoreError, OSError):
            ledger = cls.__new__(cls)
            ledger._path, ledger._lock, ledger._holds = Path(_MEMORY), threading.RLock(), 0
            ledger._db = _connected(_MEMORY)
            return ledger

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def proof(self, facts: host.StatFacts) -> Digest | None:
        """Digest of a file, when its facts are exactly those it was proved with."""
        if not facts.change_ns or not facts.is_file:
            return None
        row = self._row(facts)
        if row is None or row[:3] != (facts.size, facts.mtime_ns, facts.change_ns):
            return None
        return Digest(str(row[3]))

    def contradicts(self, facts: host.StatFacts) -> bool:
        """Say whether the file was proved once and its facts have changed since."""
        return self.proof(facts) is None and self._row(facts) is not None

    def moment_past(self, facts: Iterable[host.StatFacts]) -> int:
        """Now by the volume's clock, once no file's last change is in the same tick of it.

        A proof says nothing of a change that came after the reading and in the tick of the last
        change before it ("racily clean", as git calls it): so who hashes waits here first. Read
        from a file's stamp, so that a server's clock or a jump of ours cannot mislead. Volumes
        with steps of a second or two are not waited for: their fresh files stay racy.
        """
        if str(self._path) == _MEMORY:
            # It keeps no proof, and has no volume of its own to leave a probe on.
            return 0
        stamps = [each.change_ns for each in facts]
        deadline = time.monotonic() + _TICK_WAIT_S
        while True:
            now = self._clock()
            stamps = [stamp for stamp in stamps if _is_racy(stamp, now)]
            if not stamps or time.monotonic() > deadline:
                return now
            time.sleep(0.001)

    def record(
        self, proofs: Iterable[tuple[host.StatFacts, Digest]], *, read_from_ns: int | None = None
    ) -> None:
        """Remember files whose content was just proved.

        ``read_from_ns`` is the moment (of ``moment_past``) before their reading began; without it
        they are files that we wrote ourselves and nobody else writes. What is racy is left out.
        """
        rows = [(facts, digest) for facts, digest in proofs if facts.is_file and facts.change_ns]
        if not rows or str(self._path) == _MEMORY:
            return
        moment = read_from_ns
        if moment is None:
            moment = self.moment_past(facts for facts, _digest in rows)
        kept = [row for row in rows if not _is_racy(row[0].change_ns, moment)]
        with self.locked():
            self._store(kept)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold every other writer of this ledger off, for changes of stamps that are ours."""
        with self._lock:
            self._begin()
            try:
                yield
            except BaseException:
                self._end("ROLLBACK")
                raise
            self._end("COMMIT")

    def restamp(self, facts: host.StatFacts, digest: Digest) -> None:
        """Carry a proof over a change of stamps that we made ourselves, inside ``locked()``.

        The caller saw the file proved before its own link, unlink or mode change, and passes the
        facts after it. Racy or not does not arise: the content is as old as its first proof.
        """
        self._store([(facts, digest)])

    # --- the database ---------------------------------------------------------------------------

    def _row(self, facts: host.StatFacts) -> tuple[object, ...] | None:
        key = (_signed(facts.volume), str(facts.file_id))
        question = (
            "SELECT size, mtime_ns, change_ns, digest FROM proof WHERE volume=? AND file_id=?"
        )
        row: tuple[object, ...] | None
        row = self._safely(lambda: self._db.execute(question, key).fetchone())
        return row

    def _store(self, rows: list[tuple[host.StatFacts, Digest]]) -> None:
        values = [
            (
                _signed(facts.volume),
                str(facts.file_id),
                facts.size,
                facts.mtime_ns,
                facts.change_ns,
                digest,
            )
            for facts, digest in rows
        ]
        self._safely(
            lambda: self._db.executemany(
                "INSERT OR REPLACE INTO proof VALUES (?,?,?,?,?,?)", values
            )
        )

    def _begin(self) -> None:
        if self._holds == 0:
            self._safely(lambda: self._db.execute("BEGIN IMMEDIATE"))
        self._holds += 1

    def _end(self, word: str) -> None:
        self._holds -= 1
        if self._holds == 0 and self._db.in_transaction:
            self._safely(lambda: self._db.execute(word))

    def _safely(self, action: Callable[[], T]) -> T:
        """Do it; a damaged database is begun anew, and other trouble is told in our words."""
        with self._lock:
            try:
                return action()
            except sqlite3.DatabaseError as error:
                if not is_database_damaged(error):
                    if self._db.in_transaction and self._holds == 0:
                        self._db.execute("ROLLBACK")
                    raise database_error(error, self._path) from error
            self._db.close()
            self._db = self._renewed()
            if self._holds:
                self._db.execute("BEGIN IMMEDIATE")
            return action()

    def _opened(self) -> sqlite3.Connection:
        make_private_file(self._path)
        try:
            return _connected(self._path)
        except sqlite3.DatabaseError as error:
            if not is_database_damaged(error):
                raise database_error(error, self._path) from error
        return self._renewed()

    def _renewed(self) -> sqlite3.Connection:
        """An empty database in place of a damaged one; in memory where that one is in use."""
        try:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            make_private_file(self._path)
            return _connected(self._path)
        except (OSError, sqlite3.DatabaseError):
            return _connected(_MEMORY)

    def _clock(self) -> int:
        probe = self._path.with_name(_PROBE_NAME)
        probe.touch(0o600)
        os.utime(probe)
        return host.stat_facts(probe).change_ns


def _forget_shared(path: Path) -> None:
    """Remove a name whose file is another's too, by a link of either kind: we would write to it."""
    try:
        facts = host.stat_facts(path)
    except FileNotFoundError:
        return
    if host.is_link(path) or (facts.is_file and facts.links > 1):
        host.remove(path)


def _connected(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=_BUSY_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        _set_up(database)
    except BaseException:
        database.close()
        raise
    return database


def _set_up(database: sqlite3.Connection) -> None:
    # Where two processes begin the same database, this one switch is refused without waiting.
    deadline = time.monotonic() + _BUSY_WAIT_S
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
    # A commit may be lost with the power, never half written: then files are hashed again.
    database.execute("PRAGMA synchronous=NORMAL")
    if _version(database) == _SCHEMA_VERSION:
        return
    database.execute("BEGIN IMMEDIATE")
    if _version(database) != _SCHEMA_VERSION:
        database.execute("DROP TABLE IF EXISTS proof")
        database.execute(_SCHEMA)
        database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
    database.execute("COMMIT")


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _is_racy(stamp_ns: int, moment_ns: int) -> bool:
    """Say whether a change after ``moment_ns`` could leave a file with this same stamp.

    A stamp far in the future, of a clock that was set back since, will not come again by chance.
    """
    step_ns = 0 if stamp_ns % 1_000_000_000 else _COARSEST_NS
    return moment_ns - step_ns <= stamp_ns <= moment_ns + _COARSEST_NS


def _signed(number: int) -> int:
    """SQLite's integers are signed."""
    return number - 2**64 if number >= 2**63 else number
