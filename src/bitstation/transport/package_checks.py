"""Is an archive a package? Its records agree, and it holds what its manifest says and no more."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from bitstation.codec import zip_reading
from bitstation.codec.zip_layout import LOCAL, Member
from bitstation.codec.zip_reading import ZipFault
from bitstation.core.manifest import MAX_ENTRIES, Manifest
from bitstation.core.relpath import collisions, path_fault
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.storage.parts import PartsReader

MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
MAX_MEMBERS = MAX_ENTRIES + 1

_LONGER_THAN_DESCRIPTOR = 25
_SPECIAL_RIGHTS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


def read_members(reader: PartsReader) -> list[Member]:
    """Members of an archive whose records agree with each other.

    Raises ZipFault, OSError. Cost: the central directory, which is looked at before it is read,
    and one local header a member.
    """
    tail_bytes = min(reader.size_bytes, zip_reading.TAIL_BYTES)
    reader.seek(reader.size_bytes - tail_bytes)
    end = zip_reading.parse_end(reader.read(tail_bytes), reader.size_bytes)
    if end.members > MAX_MEMBERS or end.directory_bytes > MAX_DIRECTORY_BYTES:
        raise ZipFault(f"it lists {end.members} files; a package has at most {MAX_MEMBERS}")
    reader.seek(end.directory_offset)
    directory = reader.read(end.directory_bytes)
    members = list(zip_reading.parse_directory(directory, end.members))
    _check_layout(reader, members, end.directory_offset)
    return members


def _check_layout(reader: PartsReader, members: list[Member], directory_offset: int) -> None:
    """Refuse members that overlap, or leave room between them for what nobody lists."""
    position = 0
    in_order = sorted(members, key=lambda member: member.offset)
    starts = [*(member.offset for member in in_order), directory_offset]
    for member, end in zip(in_order, starts[1:], strict=True):
        if member.offset != position:
            raise ZipFault(f"{member.name!r} does not begin where the one before it ends")
        reader.seek(member.offset)
        header = reader.read(LOCAL.size)
        header += reader.read(zip_reading.local_bytes(header) - len(header))
        zip_reading.check_local(header, member)
        position = member.offset + len(header) + member.packed_size
        if position > end:
            raise ZipFault(f"{member.name!r} overlaps what follows it")
        if member.sizes_follow:
            reader.seek(position)
            record = reader.read(min(end - position, _LONGER_THAN_DESCRIPTOR))
            zip_reading.check_descriptor(record, member)
            position += len(record)
    if position != directory_offset:
        raise ZipFault("something lies between its files and its central directory")


def member_faults(members: list[Member], manifest: Manifest) -> Iterator[str]:
    """Everything in which members and manifest differ, and what is no plain file."""
    sizes = {row.path: row.size for row in manifest.entries}
    files = [member for member in members if not _is_folder(member)]
    for member in members:
        name, kind = member.name, stat.S_IFMT(member.mode)
        if kind not in (0, stat.S_IFDIR if _is_folder(member) else stat.S_IFREG):
            yield f"{name!r} is a link or special file"
        elif member.mode & _SPECIAL_RIGHTS:
            yield f"{name!r} asks for set-user, set-group or sticky rights"
        if name in sizes:
            if member.size != sizes[name]:
                yield f"{name!r} has {member.size} bytes, the manifest says {sizes[name]}"
        elif fault := path_fault(name.removesuffix("/")):
            yield f"{name!r}: {fault}"
        elif name != MANIFEST_NAME and not _is_folder(member):
            yield f"{name!r} is not in the manifest"
    yield from collisions(member.name for member in files)
    names = {member.name for member in files}
    yield from (f"{path!r} is missing" for path in sizes if path not in names)


def _is_folder(member: Member) -> bool:
    return member.name.endswith("/") and member.size == 0
