"""Signed metadata to be carried with a release, to machines that see no other source."""

from __future__ import annotations

from bitstation.transport.source import Source
from bitstation.trust.authorize import reading
from bitstation.trust.roles import ROOT, file_name, max_bytes, release_path
from bitstation.trust.signing import open_chain


def metadata_of(source: Source, tool_id: str, version: str) -> dict[str, bytes]:
    """Files that lead from the first root to what is signed of a release; none without a root.

    Whoever gets them verifies them; here they are only followed. Raises SignatureRefused,
    SourceError.
    """
    found: dict[str, bytes] = {}
    read = reading(source)

    def noting(name: str, most_bytes: int) -> bytes | None:
        data = read(name, most_bytes)
        if data is not None:
            found[name] = data
        return data

    root = noting(file_name(ROOT, 1), max_bytes(ROOT))
    if root is None:
        return {}
    open_chain(root, noting, source.name).find(release_path(tool_id, version))
    return found
