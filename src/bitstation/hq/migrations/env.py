"""Run by alembic for every command; works on the connection that its caller opened."""

from __future__ import annotations

from alembic import context

from bitstation.hq.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite's schema changes are transactional once BEGIN is sent, which ``database`` does.
    transactional_ddl=True,
)
context.run_migrations()
