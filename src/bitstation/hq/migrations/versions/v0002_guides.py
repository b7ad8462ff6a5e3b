"""Guides and packs beside releases, and what a publish session announced of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_DIGEST = sa.String(64)


def upgrade() -> None:
    """Make the tables, and room for the announcement."""
    op.create_table(
        "release_guide",
        sa.Column("release", sa.Integer, sa.ForeignKey("release.id"), primary_key=True),
        sa.Column("base", _DIGEST, primary_key=True),
        sa.Column("blob", _DIGEST, sa.ForeignKey("blob.sha256"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "release_pack",
        sa.Column("release", sa.Integer, sa.ForeignKey("release.id"), primary_key=True),
        sa.Column("blob", _DIGEST, sa.ForeignKey("blob.sha256"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.add_column("publish_session", sa.Column("guides", sa.Text))
