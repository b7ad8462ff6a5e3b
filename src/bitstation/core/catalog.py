"""catalog.json: which tools a publisher offers, in which packages."""

from __future__ import annotations

import re
from collections import Counter

import msgspec

from bitstation.core.canonical import JsonFault, parse_json, pretty_bytes
from bitstation.core.digest import is_digest
from bitstation.core.names import tool_id_fault, version_fault
from bitstation.core.relpath import path_fault
from bitstation.core.toolfile import ToolFile
from bitstation.errors import ManifestError

MAX_CATALOG_BYTES = 8 * 1024 * 1024
CATALOG_VERSION_PATTERN = r"^[0-9]{4}\.(0[1-9]|1[0-2])\.(0[1-9]|[12][0-9]|3[01])$"

_CATALOG_VERSION = re.compile(CATALOG_VERSION_PATTERN[1:-1] + r"\Z", re.ASCII)


class Part(msgspec.Struct, frozen=True):
    """One piece of a package that was cut to fit a release host's limit; size in bytes."""

    name: str
    size: int
    sha256: str


class CatalogTool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest release of one tool. sha256 and size are of the whole ZIP, parts joined.

    An HQ holds releases, not packages: its catalogue leaves asset_name, sha256 and size out.
    """

    tool_id: str
    name: str
    latest: str
    asset_name: str | None = None
    sha256: str | None = None
    size: int | None = None
    manifest_hash: str
    platforms: tuple[str, ...]
    has_frontend: bool
    parts: tuple[Part, ...] = ()
    category: str | None = None
    download_url: str | None = None
    frontend_url: str | None = None
    frontend_sha256: str | None = None
    api_contract: str | None = None
    supports_gpu_persistence: bool | None = None


class Catalog(msgspec.Struct, frozen=True, omit_defaults=True):
    """The catalogue of one publication; ``catalog_version`` is its date, YYYY.MM.DD."""

    catalog_version: str
    tools: tuple[CatalogTool, ...]
    release_tag: str | None = None

    def encode(self) -> bytes:
        """Bytes of catalog.json; the same catalogue always gives the same bytes."""
        return pretty_bytes(msgspec.to_builtins(self)) + b"\n"


def unpacked_row(
    tool_id: str, version: str, manifest_hash: str, tool: ToolFile | None
) -> CatalogTool:
    """Row of a release that lies in no package; ``tool`` None: it has no tool.json to be read."""
    if tool is None:
        return CatalogTool(
            tool_id=tool_id,
            name=tool_id,
            latest=version,
            manifest_hash=manifest_hash,
            platforms=(),
            has_frontend=False,
        )
    return CatalogTool(
        tool_id=tool_id,
        name=tool.name,
        latest=version,
        manifest_hash=manifest_hash,
        platforms=tool.platforms,
        has_frontend=tool.has_frontend,
        category=tool.category,
        api_contract=tool.api_contract,
        supports_gpu_persistence=tool.supports_gpu_persistence,
    )


def parse_catalog(data: bytes, *, what: str = "the catalog") -> Catalog:
    """Checked catalogue; unknown fields are ignored. Raises ManifestError naming every fault."""
    if len(data) > MAX_CATALOG_BYTES:
        raise ManifestError.of(what, [f"larger than {MAX_CATALOG_BYTES} bytes"])
    try:
        catalog = msgspec.convert(parse_json(data), Catalog)
    except (JsonFault, msgspec.ValidationError) as error:
        raise ManifestError.of(what, [str(error)]) from error
    faults = []
    if not _CATALOG_VERSION.match(catalog.catalog_version):
        faults.append("catalog_version is not a date YYYY.MM.DD")
    for tool in catalog.tools:
        faults.extend(f"{tool.tool_id[:80]!r}: {fault}" for fault in _tool_faults(tool))
    ids = Counter(tool.tool_id for tool in catalog.tools)
    faults.extend(f"tool_id {name[:80]!r} is listed twice" for name, n in ids.items() if n > 1)
    if faults:
        raise ManifestError.of(what, faults)
    return catalog


def _tool_faults(tool: CatalogTool) -> list[str]:
    faults = [fault for fault in (tool_id_fault(tool.tool_id), version_fault(tool.latest)) if fault]
    package = (tool.asset_name, tool.sha256, tool.size)
    if None in package and package != (None, None, None):
        faults.append("asset_name, sha256 and size are not all given or all left out")
    digests = [tool.sha256, tool.manifest_hash, *(part.sha256 for part in tool.parts)]
    if not all(digest is None or is_digest(digest) for digest in digests):
        faults.append("a digest is not 64 lower-case hexadecimal digits")
    for name in (tool.asset_name, *(part.name for part in tool.parts)):
        if name is not None and (fault := path_fault(name) or _folder_fault(name)):
            faults.append(f"file name {name[:80]!r}: {fault}")
    if (tool.size or 0) < 0 or any(part.size <= 0 for part in tool.parts):
        faults.append("a size is not positive")
    if tool.parts and sum(part.size for part in tool.parts) != tool.size:
        faults.append("the sizes of the parts do not sum to size")
    return faults


def _folder_fault(name: str) -> str | None:
    return "a plain name is needed, without folders" if "/" in name else None
