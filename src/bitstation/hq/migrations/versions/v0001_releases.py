"""Releases, their files, publish sessions and what channels require.

A migration states its tables itself: ``tables`` is the newest form, this is the first one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_DIGEST = sa.String(64)


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "tool",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tool_id", sa.String(64), nullable=False, unique=True),
    )
    op.create_table(
        "blob",
        sa.Column("sha256", _DIGEST, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("verified_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "release",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tool", sa.Integer, sa.ForeignKey("tool.id"), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("manifest_hash", _DIGEST, nullable=False),
        sa.Column("manifest_blob", _DIGEST, sa.ForeignKey("blob.sha256"), nullable=False),
        sa.Column("published_at", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.UniqueConstraint("tool", "version"),
    )
    op.create_table(
        "release_file",
        sa.Column("release", sa.Integer, sa.ForeignKey("release.id"), primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("sha256", _DIGEST, sa.ForeignKey("blob.sha256"), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "publish_session",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uid", sa.String(32), nullable=False, unique=True),
        sa.Column("tool_id", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("manifest_hash", _DIGEST, nullable=False),
        sa.Column("manifest_blob", _DIGEST, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tool_id", "version", "manifest_hash"),
        sa.CheckConstraint("state IN ('OPEN', 'COMMITTED')", name="state"),
    )
    op.create_table(
        "channel",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(32), nullable=False, unique=True),
    )
    op.create_table(
        "requirement",
        sa.Column("channel", sa.Integer, sa.ForeignKey("channel.id"), primary_key=True),
        sa.Column("tool", sa.Integer, sa.ForeignKey("tool.id"), primary_key=True),
        sa.Column("release", sa.Integer, sa.ForeignKey("release.id"), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
