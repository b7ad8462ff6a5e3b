"""A ZIP package, whole or in parts, as a source.

A ``PackageSource`` exists only when the package is sound: every rule was checked before a byte of
it is used. Content is then proved by whoever reads it, as from any source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitstation import host
from bitstation.codec.zip_layout import Member
from bitstation.codec.zip_reading import ZipFault
from bitstation.core.assets import CATALOG_NAME, CHECKSUMS_NAME, guide_name
from bitstation.core.catalog import MAX_CATALOG_BYTES, parse_catalog
from bitstation.core.digest import Digest, digest_of
from bitstation.core.guide import MAX_GUIDE_BYTES, parse_guide
from bitstation.core.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from bitstation.core.mirror import METADATA
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.core.wire import GuideRef
from bitstation.errors import ManifestError, NotFound, PackageInvalid, SourceError
from bitstation.storage.parts import PartsReader, find_parts, part_number, part_path, whole_path
from bitstation.transport.local_file import BytesReader, read_metadata_file
from bitstation.transport.package_checks import member_faults, read_members
from bitstation.transport.package_content import open_content, read_content
from bitstation.transport.source import Offer, RangeReader, Source

_SHOWN_FAULTS = 20
_MAX_CHECKSUMS_BYTES = 1024 * 1024


@contextmanager
def archive_errors(path: Path) -> Iterator[None]:
    """Raise what reading an archive meets as PackageInvalid or SourceError."""
    try:
        yield
    except ZipFault as fault:
        is_cut = find_parts(host.native_path(Path(path).absolute()))[0].suffix == ".001"
        hint = "; is a part missing?" if is_cut else ""
        raise PackageInvalid(package=str(path), detail=f"{fault}{hint}") from fault
    except OSError as error:
        raise SourceError(source=str(path), detail=error.strerror or str(error)) from error


def open_archive(path: Path) -> tuple[list[tuple[Path, int]], list[Member]]:
    """Parts of an archive with their sizes, and its members, inside ``archive_errors``."""
    parts = sized_parts(host.native_path(Path(path).absolute()), str(path))
    reader = PartsReader(parts)
    try:
        return parts, read_members(reader)
    finally:
        reader.close()


class PackageSource(Source):
    """Release inside a ZIP. Stored members are read in place, deflated ones unpacked as read."""

    concurrency = 2
    is_local = True

    def __init__(self, path: Path) -> None:
        """Open and check the package at ``path``: a ZIP, or any one of its parts.

        Whether the hash of its manifest is right is for ``resolve``, which knows about legacy
        ones. Raises NotFound, PackageInvalid (naming every fault), ManifestError, SourceError.
        Cost: the central directory and one local header a member are read, no content.
        """
        self.name = str(path)
        with archive_errors(path):
            self._parts, members = open_archive(path)
            self._manifest_bytes = self._read_manifest(members)
        what = f"{MANIFEST_NAME} in {self.name}"
        manifest = parse_manifest(self._manifest_bytes, legacy=True, what=what)
        if faults := list(member_faults(members, manifest)):
            raise _invalid(self.name, faults)
        by_path = {member.name: member for member in members}
        self._by_digest = {row.sha256: by_path[row.path] for row in manifest.entries}
        self._release = (manifest.tool_id, manifest.tool_version)
        self._guide = _guide_beside(self._parts[0][0], manifest)

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        guide = self._guide
        refs = (GuideRef(digest_of(guide), len(guide)),) if guide else ()
        return Offer(*self._release, self._manifest_bytes, guides=refs)

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        """A file of ``metadata/`` beside the package: signatures are never inside."""
        beside = self._parts[0][0].parent / METADATA
        return read_metadata_file(beside, name, max_bytes, self.name)

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        member = self._by_digest.get(digest)
        if member is None and self._guide and digest == digest_of(self._guide):
            return BytesReader(self._guide, offset)
        if member is None:
            raise NotFound(source=self.name, what=f"a file with SHA-256 {digest}")
        return open_content(PartsReader(self._parts), member, offset, self.name)

    def _read_manifest(self, members: list[Member]) -> bytes:
        found = [member for member in members if member.name == MANIFEST_NAME]
        if not found or found[0].size > MAX_MANIFEST_BYTES:
            raise ZipFault(f"it holds no {MANIFEST_NAME} of at most {MAX_MANIFEST_BYTES} bytes")
        return read_content(PartsReader(self._parts), found[0], self.name)


def sized_parts(path: Path, name: str) -> list[tuple[Path, int]]:
    """Files of a package with their sizes.

    Raises NotFound, PackageInvalid when a part is missing or has another length than it should.
    """
    parts = [(part, part.stat().st_size) for part in find_parts(path)]
    if not parts:
        raise NotFound(source=name, what="a package")
    whole = whole_path(path)
    if parts[0][0] == whole:
        return parts
    sizes = {part_number(part.name, whole): size for part, size in parts}
    stated = {**_listed_parts(whole), **_catalogued_parts(whole)}
    last = max([*sizes, *stated])
    faults = []
    for number in range(1, last + 1):
        part, size = part_path(whole, number).name, sizes.get(number)
        full = stated.get(number) or (None if number == last else sizes.get(1))
        if size is None:
            faults.append(f"part {part} is missing")
        elif full is not None and size != full:
            faults.append(f"part {part} has {size} bytes, not {full}")
    if faults:
        raise _invalid(name, faults)
    return parts


# What lies beside a package is a hint: where it is absent or damaged it says nothing.


def _listed_parts(whole: Path) -> dict[int, int | None]:
    """Numbers of the parts that the checksums beside them list; their sizes are not stated."""
    try:
        with whole.with_name(CHECKSUMS_NAME).open("rb") as file:
            lines = file.read(_MAX_CHECKSUMS_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    numbers = [part_number(line.partition("  ")[2], whole) for line in lines]
    return {number: None for number in numbers if number}


def _catalogued_parts(whole: Path) -> dict[int, int | None]:
    """Sizes of the parts by number, as the catalogue beside them states them."""
    try:
        with whole.with_name(CATALOG_NAME).open("rb") as file:
            catalog = parse_catalog(file.read(MAX_CATALOG_BYTES + 1))
    except (OSError, ManifestError):
        return {}
    rows = [(part_number(part.name, whole), part) for tool in catalog.tools for part in tool.parts]
    return {number: part.size for number, part in rows if number}


def _guide_beside(part: Path, manifest: Manifest) -> bytes:
    """Guide to exactly this release from nothing; empty where there is none."""
    name = guide_name(manifest.tool_id, manifest.tool_version)
    try:
        with part.with_name(name).open("rb") as file:
            data = file.read(MAX_GUIDE_BYTES + 1)
        guide = parse_guide(data, what=name)
    except (OSError, ManifestError):
        return b""
    leads_here = guide.base is None and guide.target == manifest.manifest_hash
    return data if leads_here else b""


def _invalid(name: str, faults: list[str]) -> PackageInvalid:
    more = len(faults) - _SHOWN_FAULTS
    rest = f"; and {more} more" if more > 0 else ""
    return PackageInvalid(package=name, detail="; ".join(faults[:_SHOWN_FAULTS]) + rest)
