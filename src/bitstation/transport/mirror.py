"""A static mirror on this machine or a share as a source: the paths of an HQ, as files."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.digest import Digest
from bitstation.core.mirror import (
    API,
    MAX_OFFER_BYTES,
    METADATA,
    OFFER_NAME,
    TOOLS,
    blob_path,
    offer_path,
    parse_offer,
)
from bitstation.core.names import tool_id_fault
from bitstation.errors import NotFound, SourceError, UsageError
from bitstation.host import native_path
from bitstation.transport.local_file import LocalFile, read_metadata_file
from bitstation.transport.source import Offer, RangeReader, Source, offer_of


def is_mirror(folder: Path) -> bool:
    """Say whether a folder holds the layout of a mirror."""
    return (folder / API).is_dir()


class MirrorSource(Source):
    """Releases below the root of a mirror; of each tool the latest, where no version is asked."""

    concurrency = 2
    is_local = True

    def __init__(self, root: Path) -> None:
        self._root = native_path(Path(root).absolute())
        self.name = str(root)

    def tool_ids(self) -> list[str]:
        """Tools that have an offer."""
        try:
            found = sorted(path.parent.name for path in self._root.glob(f"{TOOLS}/*/{OFFER_NAME}"))
        except OSError as error:
            raise SourceError(source=self.name, detail=error.strerror or str(error)) from error
        return [name for name in found if tool_id_fault(name) is None]

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        path = self._root / offer_path(tool_id or self._only_tool(), version)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_OFFER_BYTES + 1)
        except FileNotFoundError as error:
            wanted = f"release {version} of tool {tool_id}" if version else f"tool {tool_id}"
            raise NotFound(source=self.name, what=wanted) from error
        except OSError as error:
            raise SourceError(source=self.name, detail=error.strerror or str(error)) from error
        return offer_of(parse_offer(data, what=str(path)))

    def _only_tool(self) -> str:
        found = self.tool_ids()
        if not found:
            raise NotFound(source=self.name, what="a tool")
        if len(found) > 1:
            raise UsageError(detail=f"{self.name} holds many tools: name one")
        return found[0]

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        """A file of the folder for metadata."""
        return read_metadata_file(self._root / METADATA, name, max_bytes, self.name)

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        path = self._root / blob_path(digest)
        # Not what would wait for a writer, as a pipe does.
        if not path.is_file():
            raise NotFound(source=self.name, what=f"a file with SHA-256 {digest}")
        return LocalFile(path, offset, f"{self.name}: {digest}")
