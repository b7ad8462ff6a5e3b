"""A ZIP package, whole or in parts, as a source.

A ``PackageSource`` exists only when the package is sound: every rule below is checked before a
byte of it is used. Content is then proved by whoever reads it, as from any source.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from bitstation import host
from bitstation.codec import zip_reading
from bitstation.codec.zip_layout import LOCAL, Member
from bitstation.codec.zip_reading import ZipFault
from bitstation.core.catalog import MAX_CATALOG_BYTES, parse_catalog
from bitstation.core.digest import Digest
from bitstation.core.manifest import MAX_ENTRIES, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from bitstation.core.relpath import collisions, path_fault
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import ManifestError, NotFound, PackageInvalid, SourceError
from bitstation.storage.parts import PartsReader, find_parts, part_path, whole_path
from bitstation.transport.package_content import open_content
from bitstation.transport.source import Offer, RangeReader, Source

MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
MAX_MEMBERS = MAX_ENTRIES + 1

_LONGER_THAN_DESCRIPTOR = 25


class PackageSource(Source):
    """Release inside a ZIP. Stored members are read in place, deflated ones unpacked as read."""

    concurrency = 2

    def __init__(self, path: Path) -> None:
        """Open and check the package at ``path``: a ZIP, or any one of its parts.

        Whether its manifest's hash is right is asked by ``resolve``, which knows about --legacy.

        Raises NotFound, PackageInvalid (naming every fault), ManifestError, SourceError.
        Cost: the central directory and one local header a member are read, no content.
        """
        self.name = str(path)
        self._parts = _present_parts(host.native_path(Path(path).absolute()), self.name)
        try:
            members = _checked_members(PartsReader(self._parts))
            self.manifest_bytes = self._manifest_bytes(members)
            manifest = parse_manifest(
                self.manifest_bytes, legacy=True, what=f"{MANIFEST_NAME} in {self.name}"
            )
        except ZipFault as fault:
            hint = "; is a part missing?" if len(self._parts) > 1 else ""
            raise PackageInvalid(package=self.name, detail=f"{fault}{hint}") from fault
        except OSError as error:
            raise SourceError(source=self.name, detail=error.strerror or str(error)) from error
        if faults := list(_member_faults(members, manifest)):
            more = f"; and {len(faults) - 20} more" if len(faults) > 20 else ""
            raise PackageInvalid(package=self.name, detail="; ".join(faults[:20]) + more)
        by_path = {member.name: member for member in members}
        self._release = (manifest.tool_id, manifest.tool_version)
        self._by_digest = {row.sha256: by_path[row.path] for row in manifest.entries}

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        return Offer(*self._release, self.manifest_bytes)

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        member = self._by_digest.get(digest)
        if member is None:
            raise NotFound(source=self.name, what=f"a file with SHA-256 {digest}")
        return open_content(PartsReader(self._parts), member, offset, self.name)

    def _manifest_bytes(self, members: list[Member]) -> bytes:
        found = [member for member in members if member.name == MANIFEST_NAME]
        if not found or found[0].size > MAX_MANIFEST_BYTES:
            raise ZipFault(f"it holds no {MANIFEST_NAME} of at most {MAX_MANIFEST_BYTES} bytes")
        content = open_content(PartsReader(self._parts), found[0], 0, self.name)
        data = bytearray(found[0].size)
        view, done = memoryview(data), 0
        try:
            while done < len(data) and (count := content.readinto(view[done:])):
                done += count
        finally:
            content.close()
        return bytes(data[:done])


def _present_parts(path: Path, name: str) -> list[tuple[Path, int]]:
    """Parts with their sizes. Raises NotFound, PackageInvalid when one is missing or too short."""
    try:
        parts = [(part, part.stat().st_size) for part in find_parts(path)]
    except OSError as error:
        raise SourceError(source=name, detail=error.strerror or str(error)) from error
    if not parts:
        raise NotFound(source=name, what="a package")
    whole = whole_path(path)
    if parts[0][0] == whole:
        return parts
    stated = _stated_parts(whole)
    wanted = [part_path(whole, number + 1) for number in range(max(len(parts), len(stated)))]
    sizes = {part.name: size for part, size in parts}
    faults = []
    for part in wanted:
        size = sizes.get(part.name)
        if size is None:
            faults.append(f"part {part.name} is missing")
        elif stated and size != stated.get(part.name):
            faults.append(f"part {part.name} has {size} bytes, not {stated.get(part.name)}")
        elif size != parts[0][1] and part != wanted[-1]:
            faults.append(f"part {part.name} has {size} bytes, not {parts[0][1]}")
    if faults:
        raise PackageInvalid(package=name, detail="; ".join(faults[:20]))
    return parts


def _stated_parts(whole: Path) -> dict[str, int]:
    """Names and sizes of the parts by the catalogue beside them; empty where it says nothing."""
    try:
        with whole.with_name("catalog.json").open("rb") as file:
            catalog = parse_catalog(file.read(MAX_CATALOG_BYTES + 1))
    except (OSError, ManifestError):
        return {}
    for tool in catalog.tools:
        if tool.asset_name == whole.name:
            return {part.name: part.size for part in tool.parts}
    return {}


def _checked_members(reader: PartsReader) -> list[Member]:
    """Members of an archive whose records agree with each other. Raises ZipFault, OSError."""
    try:
        total = reader.size_bytes
        tail_bytes = min(total, zip_reading.TAIL_BYTES)
        reader.seek(total - tail_bytes)
        end = zip_reading.parse_end(reader.read(tail_bytes), total)
        if end.members > MAX_MEMBERS or end.directory_bytes > MAX_DIRECTORY_BYTES:
            raise ZipFault(f"it lists {end.members} files; a package has at most {MAX_MEMBERS}")
        reader.seek(end.directory_offset)
        directory = reader.read(end.directory_bytes)
        members = list(zip_reading.parse_directory(directory, end.members))
        _check_layout(reader, members, end.directory_offset)
        return members
    finally:
        reader.close()


def _check_layout(reader: PartsReader, members: list[Member], directory_offset: int) -> None:
    """Refuse members that overlap, or leave room between them for what nobody lists."""
    position = 0
    in_order = sorted(members, key=lambda member: member.offset)
    ends = [member.offset for member in in_order[1:]] + [directory_offset]
    for member, end in zip(in_order, ends, strict=True):
        if member.offset != position:
            raise ZipFault(f"{member.name!r} does not begin where the one before it ends")
        reader.seek(member.offset)
        header = reader.read(LOCAL.size)
        header += reader.read(zip_reading.local_bytes(header) - len(header))
        zip_reading.check_local(header, member)
        data_end = member.offset + len(header) + member.packed_size
        if data_end > end:
            raise ZipFault(f"{member.name!r} overlaps what follows it")
        if member.sizes_follow:
            reader.seek(data_end)
            zip_reading.check_descriptor(
                reader.read(min(end - data_end, _LONGER_THAN_DESCRIPTOR)), member
            )
            data_end = end
        position = data_end
    if position != directory_offset:
        raise ZipFault("something lies between its files and its central directory")


def _member_faults(members: list[Member], manifest: Manifest) -> Iterator[str]:
    """Everything in which members and manifest differ, and what is no plain file."""
    sizes = {row.path: row.size for row in manifest.entries}
    files = [member for member in members if not _is_folder(member)]
    names = {member.name for member in files}
    for member in members:
        name, kind = member.name, stat.S_IFMT(member.mode)
        if kind not in (0, stat.S_IFDIR if _is_folder(member) else stat.S_IFREG):
            yield f"{name!r} is a link or special file"
        elif member.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
            yield f"{name!r} asks for set-user or set-group rights"
        if name in sizes:
            if member.size != sizes[name]:
                yield f"{name!r} has {member.size} bytes, the manifest says {sizes[name]}"
        elif fault := path_fault(name.removesuffix("/")):
            yield f"{name!r}: {fault}"
        elif name != MANIFEST_NAME and not _is_folder(member):
            yield f"{name!r} is not in the manifest"
    yield from collisions(member.name for member in files)
    yield from (f"{path!r} is missing" for path in sizes if path not in names)


def _is_folder(member: Member) -> bool:
    return member.name.endswith("/") and member.size == 0
