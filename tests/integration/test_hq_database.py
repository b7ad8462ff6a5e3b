"""HQ's database: how it comes to its form, and what a broken one says."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import IntegrityError

from bitstation.errors import StoreCorrupt
from bitstation.hq import tables
from bitstation.hq.database import Database, migrations


def test_the_migrations_make_the_tables_and_nothing_else(tmp_path: Path):
    database = Database(tmp_path / "hq.sqlite3")
    with database.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    database.close()
    assert differences == []


def test_opening_again_changes_nothing(tmp_path: Path):
    path = tmp_path / "hq.sqlite3"
    Database(path).close()
    first = sqlite3.connect(path)
    before = first.execute("SELECT sql FROM sqlite_master").fetchall()
    first.close()
    Database(path).close()
    second = sqlite3.connect(path)
    assert second.execute("SELECT sql FROM sqlite_master").fetchall() == before
    second.close()


def test_it_survives_the_power_and_minds_its_references(tmp_path: Path):
    database = Database(tmp_path / "hq.sqlite3")
    with database.read() as connection:
        facts = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert facts == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    row = {"release": 7, "path": "x", "sha256": "0" * 64, "size": 0}
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(insert(tables.release_file), row)
    database.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path):
    database = Database(tmp_path / "hq.sqlite3")

    def half_done() -> None:
        with database.write() as connection:
            connection.execute(insert(tables.tool), {"tool_id": "half"})
            raise KeyError("stop")

    with pytest.raises(KeyError):
        half_done()
    with database.read() as connection:
        assert connection.execute(select(tables.tool)).all() == []
    database.close()


def test_a_migration_that_fails_leaves_the_former_form(tmp_path: Path, monkeypatch):
    from alembic import op

    calls = []
    real = op.create_table

    def fail_at_the_third(*args, **options):
        calls.append(args)
        if len(calls) == 3:
            raise KeyError("power")
        return real(*args, **options)

    monkeypatch.setattr(op, "create_table", fail_at_the_third)
    path = tmp_path / "hq.sqlite3"
    with pytest.raises(KeyError):
        Database(path)
    monkeypatch.undo()
    left = sqlite3.connect(path)
    assert left.execute("SELECT name FROM sqlite_master").fetchall() == []
    left.close()
    Database(path).close()


def test_what_an_earlier_hq_held_is_there_after_the_migrations(tmp_path: Path):
    path = tmp_path / "hq.sqlite3"
    first = create_engine(f"sqlite:///{path}")
    with first.begin() as connection:
        command.upgrade(migrations(connection), "0001")
        connection.exec_driver_sql("INSERT INTO tool VALUES (1, 'add')")
        connection.exec_driver_sql(
            "INSERT INTO publish_session VALUES (1, 'uid', 'add', '1.0.0', 'h', 'b', 'OPEN', 5)"
        )
    first.dispose()
    database = Database(path)
    with database.read() as connection:
        assert connection.execute(select(tables.tool)).all() == [(1, "add")]
        [row] = connection.execute(select(tables.publish_session)).all()
        assert (row.uid, row.state, row.guides) == ("uid", "OPEN", None)
        assert connection.execute(select(tables.release_guide)).all() == []
    database.close()


def test_a_database_of_a_newer_hq_is_refused_untouched(tmp_path: Path):
    path = tmp_path / "hq.sqlite3"
    Database(path).close()
    newer = sqlite3.connect(path)
    newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.commit()
    newer.close()
    with pytest.raises(StoreCorrupt, match="9999"):
        Database(path)


def test_what_is_no_database_is_refused_untouched(tmp_path: Path):
    path = tmp_path / "hq.sqlite3"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt):
        Database(path)
    assert path.read_bytes() == before


def test_there_is_one_line_of_migrations(tmp_path: Path):
    database = Database(tmp_path / "hq.sqlite3")
    with database.read() as connection:
        script = ScriptDirectory.from_config(migrations(connection))
    database.close()
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1
