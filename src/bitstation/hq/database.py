"""HQ's database: opened, brought to the newest form, read and written."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry

from bitstation.errors import StoreCorrupt, StoreError
from bitstation.storage.faults import disk_errors
from bitstation.storage.private import make_private_file

_WRITES = "bitstation_writes"
_BUSY_TIMEOUT_S = 30


class Database:
    """One SQLite file in WAL mode: readers never wait, writers take turns."""

    def __init__(self, path: Path) -> None:
        """Open or create the database and apply the migrations it lacks.

        Raises StoreCorrupt for what is no database, or one of a newer HQ.
        Crash: each migration is one transaction.
        """
        with disk_errors(path):
            make_private_file(path)
        self._engine = _engine(path)
        self._writing = threading.Lock()
        try:
            with self.write() as connection:
                command.upgrade(migrations(connection), "head")
        except (CommandError, DatabaseError) as error:
            self.close()
            raise StoreCorrupt(path=str(path), detail=str(error)) from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def check(self) -> None:
        """Raise StoreError when the database cannot be read."""
        try:
            with self.read() as connection:
                connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        except DatabaseError as error:
            raise StoreError(path="the database", detail=str(error)) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that no other writer interleaves; durable when the block ends."""
        writer = self._engine.execution_options(**{_WRITES: True})
        with self._writing, writer.begin() as connection:
            yield connection


def migrations(connection: Connection) -> Config:
    """Configuration under which alembic works on an open connection."""
    config = Config()
    config.set_main_option("script_location", "bitstation.hq:migrations")
    config.attributes["connection"] = connection
    return config


def now_ms() -> int:
    """Milliseconds of UTC."""
    return time.time_ns() // 1_000_000


def _engine(path: Path) -> Engine:
    engine = create_engine(
        # Not a string: a folder's name may have a question mark.
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _BUSY_TIMEOUT_S, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.execute("PRAGMA journal_mode=WAL")
    # A publisher who was told of a commit may delete his copy: it must survive the power.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    # The driver's own transactions begin late and only for some statements. Taking the write
    # lock at once means that what a transaction read is still true when it writes.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
