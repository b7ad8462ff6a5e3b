"""What HQ offers, as it lists it: tools with their releases, and the catalogue."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from bitstation.core.catalog import Catalog, CatalogTool, unpacked_row
from bitstation.core.names import newest, version_key
from bitstation.core.toolfile import MAX_TOOL_FILE_BYTES, TOOL_FILE_NAME, ToolFile, parse_tool_file
from bitstation.core.wire import ReleaseRef, Requirement, ToolSummary
from bitstation.errors import ManifestError, NotFound
from bitstation.hq.releases import Release, Releases
from bitstation.hq.requirements import Requirements
from bitstation.storage.blobs import BlobFolder


class Listing:
    """Lists made from the database; the catalogue is made anew only after a release."""

    def __init__(self, releases: Releases, requirements: Requirements, blobs: BlobFolder) -> None:
        self._releases = releases
        self._requirements = requirements
        self._blobs = blobs
        self._lock = threading.Lock()
        self._catalog: tuple[int, bytes] = (-1, b"")

    def tools(self) -> list[ToolSummary]:
        """Every tool, by its id."""
        required = _by_tool(self._requirements.all())
        releases = _by_tool(self._releases.all())
        return [_summary(rows, required.get(name, [])) for name, rows in sorted(releases.items())]

    def tool(self, tool_id: str) -> ToolSummary:
        """One tool. Raises NotFound."""
        releases = self._releases.of_tool(tool_id)
        if not releases:
            raise NotFound(source="HQ", what=f"tool {tool_id}")
        return _summary(releases, self._requirements.of_tool(tool_id))

    def catalog(self) -> bytes:
        """Bytes of catalog.json."""
        with self._lock:
            epoch = self._releases.epoch
            if self._catalog[0] != epoch:
                self._catalog = (epoch, self._built_catalog().encode())
            return self._catalog[1]

    def _built_catalog(self) -> Catalog:
        releases = self._releases.all()
        last = max((release.published_at for release in releases), default=0)
        tools = []
        for _, rows in sorted(_by_tool(releases).items()):
            latest = newest(row.version for row in rows)
            tools.append(self._entry(next(row for row in rows if row.version == latest)))
        return Catalog(catalog_version=_moment(last).strftime("%Y.%m.%d"), tools=tuple(tools))

    def _entry(self, release: Release) -> CatalogTool:
        tool = self._tool_file(release)
        return unpacked_row(release.tool_id, release.version, release.manifest_hash, tool)

    def _tool_file(self, release: Release) -> ToolFile | None:
        """Read the release's tool.json; None when it has none that can be understood."""
        blob = self._releases.file(release, TOOL_FILE_NAME)
        if blob is None or blob.size > MAX_TOOL_FILE_BYTES:
            return None
        try:
            with self._blobs.open_read(blob.digest) as file:
                return parse_tool_file(file.read())
        except (ManifestError, NotFound):
            return None


_Row = TypeVar("_Row", Release, Requirement)


def _by_tool(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    grouped: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        grouped[row.tool_id].append(row)
    return grouped


def _summary(releases: Sequence[Release], required: Sequence[Requirement]) -> ToolSummary:
    ordered = sorted(releases, key=lambda release: version_key(release.version), reverse=True)
    return ToolSummary(
        tool_id=ordered[0].tool_id,
        latest=newest(release.version for release in ordered),
        releases=tuple(_reference(release) for release in ordered),
        required=tuple(required),
    )


def _reference(release: Release) -> ReleaseRef:
    return ReleaseRef(
        tool_id=release.tool_id,
        version=release.version,
        manifest_hash=release.manifest_hash,
        size=release.size,
        files=release.files,
        published_at=_moment(release.published_at).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
