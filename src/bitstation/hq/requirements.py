"""What each channel's workers must run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from bitstation.core.wire import Requirement
from bitstation.hq.database import Database, now_ms
from bitstation.hq.releases import Release, find_release, no_release
from bitstation.hq.tables import channel, release, requirement, tool
from bitstation.trust.place import Place


class Requirements:
    """The required release of each tool in each channel. ``epoch`` grows with each change."""

    def __init__(self, database: Database, signing: Place) -> None:
        self._database = database
        self._signing = signing
        self.epoch = 0

    def all(self) -> list[Requirement]:
        """Every requirement, by tool and channel."""
        return self._selected(_SELECT)

    def of_tool(self, tool_id: str) -> list[Requirement]:
        """Requirements of a tool, by channel."""
        return self._selected(_SELECT.where(tool.c.tool_id == tool_id))

    def of_channel(self, name: str) -> list[Requirement]:
        """Requirements of a channel, by tool; none for a channel that nobody used yet."""
        return self._selected(_SELECT.where(channel.c.name == name))

    def require(self, tool_id: str, version: str, channel_name: str) -> Requirement:
        """Demand a release of a channel, which exists from its first demand on. Raises NotFound."""
        with self._database.write() as connection:
            found = find_release(connection, tool_id, version)
            if found is None:
                raise no_release(tool_id, version)
            required = Requirement(tool_id, channel_name, version, found.manifest_hash)
            # Before it shows: a way back that is required and not signed would be refused.
            self._signing.require(required)
            _put(connection, _channel_key(connection, channel_name), found)
        self.epoch += 1
        return required

    def _selected(self, query: Select[*tuple[Any, ...]]) -> list[Requirement]:
        with self._database.read() as connection:
            return [Requirement(*row) for row in connection.execute(query)]


_SELECT = (
    select(tool.c.tool_id, channel.c.name, release.c.version, release.c.manifest_hash)
    .select_from(requirement)
    .join(channel, requirement.c.channel == channel.c.id)
    .join(tool, requirement.c.tool == tool.c.id)
    .join(release, requirement.c.release == release.c.id)
    .order_by(tool.c.tool_id, channel.c.name)
)


def _channel_key(connection: Connection, name: str) -> int:
    key = connection.scalar(select(channel.c.id).where(channel.c.name == name))
    if key is None:
        key = connection.execute(
            insert(channel).returning(channel.c.id), {"name": name}
        ).scalar_one()
    return int(key)


def _put(connection: Connection, channel_key: int, found: Release) -> None:
    demand = {"release": found.key, "since": now_ms()}
    place = {"channel": channel_key, "tool": found.tool_key}
    changed = connection.execute(
        update(requirement)
        .where(requirement.c.channel == channel_key, requirement.c.tool == found.tool_key)
        .values(demand)
    )
    if not changed.rowcount:
        connection.execute(insert(requirement), place | demand)
