"""The manifest of whatever a user names: a manifest, a package, a tool folder or a release."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from bitstation.core.toolfile import TOOL_FILE_NAME
from bitstation.errors import NotFound, SourceError
from bitstation.publisher.manifest import MakingOptions, make_manifest
from bitstation.publisher.progress import Progress, silent
from bitstation.publisher.validate import check_tools
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.transport.open import open_source


def open_release(
    named: str, ledger: Ledger, *, progress: Progress = silent, stop: Stop | None = None
) -> Manifest:
    """Manifest of a release.

    Of a folder with a tool.json it is made now, for the one that stands there may be older than
    the files. Raises NotFound, SourceError, ManifestError, PackageInvalid, ToolFolderInvalid.
    """
    path = Path(named)
    if (path / TOOL_FILE_NAME).is_file():
        (checked,) = check_tools([path], ledger, progress=progress, stop=stop)
        return make_manifest(checked, MakingOptions())
    if path.is_file() and path.suffix == ".json":
        return _load(path)
    source = open_source(path)
    try:
        return source.resolve(None, None).manifest
    finally:
        source.close()


def _load(path: Path) -> Manifest:
    try:
        with path.open("rb") as file:
            return parse_manifest(file.read(MAX_MANIFEST_BYTES + 1), what=str(path))
    except FileNotFoundError as error:
        raise NotFound(source=str(path.parent), what=path.name) from error
    except OSError as error:
        raise SourceError(source=str(path), detail=error.strerror or str(error)) from error
