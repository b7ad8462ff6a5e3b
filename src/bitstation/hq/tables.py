"""Tables of HQ's database, in the subset of SQL that SQLite and PostgreSQL share.

Integer keys; times are milliseconds of UTC. ``migrations/`` makes them; a test holds both equal.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

_DIGEST = String(64)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

tool = Table(
    "tool",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tool_id", String(64), nullable=False, unique=True),
)

# Blobs that a visible release needs: only these are served.
blob = Table(
    "blob",
    metadata,
    Column("sha256", _DIGEST, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("verified_at", BigInteger, nullable=False),
)

release = Table(
    "release",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tool", ForeignKey("tool.id"), nullable=False),
    Column("version", String(64), nullable=False),
    Column("manifest_hash", _DIGEST, nullable=False),
    Column("manifest_blob", ForeignKey("blob.sha256"), nullable=False),
    Column("published_at", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("files", Integer, nullable=False),
    UniqueConstraint("tool", "version"),
)

release_file = Table(
    "release_file",
    metadata,
    Column("release", ForeignKey("release.id"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("sha256", ForeignKey("blob.sha256"), nullable=False),
    Column("size", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Ways to a release; ``base`` is the manifest_hash of the release that one starts from, or empty.
release_guide = Table(
    "release_guide",
    metadata,
    Column("release", ForeignKey("release.id"), primary_key=True),
    Column("base", _DIGEST, primary_key=True),
    Column("blob", ForeignKey("blob.sha256"), nullable=False),
    sqlite_with_rowid=False,
)

# Blobs that guides and atlases of a release read, beside its files.
release_pack = Table(
    "release_pack",
    metadata,
    Column("release", ForeignKey("release.id"), primary_key=True),
    Column("blob", ForeignKey("blob.sha256"), primary_key=True),
    sqlite_with_rowid=False,
)

publish_session = Table(
    "publish_session",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(32), nullable=False, unique=True),
    Column("tool_id", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("manifest_hash", _DIGEST, nullable=False),
    Column("manifest_blob", _DIGEST, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("guides", Text),
    UniqueConstraint("tool_id", "version", "manifest_hash"),
    CheckConstraint("state IN ('OPEN', 'COMMITTED')", name="state"),
)

channel = Table(
    "channel",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(32), nullable=False, unique=True),
)

# The one release of a tool that workers of a channel must run.
requirement = Table(
    "requirement",
    metadata,
    Column("channel", ForeignKey("channel.id"), primary_key=True),
    Column("tool", ForeignKey("tool.id"), primary_key=True),
    Column("release", ForeignKey("release.id"), nullable=False),
    Column("since", BigInteger, nullable=False),
)
