"""A bundle as a source: one release, or the bytes of it that machines with another one lack."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from bitstation import host
from bitstation.codec.zip_layout import LOCAL, LOCAL_SIGNATURE, STORED, Member
from bitstation.codec.zip_reading import ZipFault
from bitstation.core.bundle import (
    MAX_METADATA,
    BundleOffer,
    Span,
    parse_bundle_offer,
    parse_member,
    parse_metadata_member,
)
from bitstation.core.digest import Digest
from bitstation.core.mirror import MAX_OFFER_BYTES, OFFER_NAME
from bitstation.errors import NotFound, PackageInvalid, SourceBroken
from bitstation.storage.parts import PartsReader, find_parts
from bitstation.transport.package import archive_errors, open_archive
from bitstation.transport.package_content import open_content, read_content
from bitstation.transport.source import Offer, RangeReader, Source, offer_of


def is_bundle(path: Path) -> bool:
    """Say whether a file, or what it is a part of, begins as a bundle does."""
    start = LOCAL.size + len(OFFER_NAME)
    try:
        with host.native_path(find_parts(path.absolute())[0]).open("rb") as file:
            head = file.read(start)
    except (OSError, IndexError):
        return False
    return head.startswith(LOCAL_SIGNATURE) and head[LOCAL.size :] == OFFER_NAME.encode()


class BundleSource(Source):
    """The release of a bundle. All members are stored, and read in place."""

    concurrency = 2

    def __init__(self, path: Path) -> None:
        """Open and check the bundle at ``path``, or of which it is a part.

        Raises NotFound, PackageInvalid, ManifestError, SourceError. Cost: the central directory
        and one local header a member are read, no content.
        """
        self.name = str(path)
        with archive_errors(path):
            self._parts, members = open_archive(path)
            self.release = self._read_offer(members)
        self._whole: dict[Digest, Member] = {}
        self._spans: dict[Digest, list[tuple[Span, Member]]] = {}
        self._metadata: dict[str, Member] = {}
        self._take_in(members)
        # What is packed lies here in place of what it unpacks to, so it must be used.
        self.is_local = not self.release.bases

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        return offer_of(self.release, needs=self.release.bases)

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        """A file of the metadata that were bundled."""
        member = self._metadata.get(name)
        if member is None:
            return None
        if member.size > max_bytes:
            raise SourceBroken(source=self.name, detail=f"{name} exceeds {max_bytes} bytes")
        return self._read_member(member)

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        if member := self._whole.get(digest):
            return open_content(PartsReader(self._parts), member, offset, self.name)
        spans = self._spans.get(digest, [])
        # The last span that begins at the offset or before it.
        number = bisect_right(spans, offset, key=lambda row: row[0].offset) - 1
        if length is not None and number >= 0 and offset + length <= spans[number][0].end:
            span, member = spans[number]
            return open_content(PartsReader(self._parts), member, offset - span.offset, self.name)
        what = f"the bytes from {offset} on of" if spans else "a file with SHA-256"
        raise NotFound(source=self.name, what=f"{what} {digest}")

    def _take_in(self, members: list[Member]) -> None:
        """Sort members by what they hold. Raises PackageInvalid for what is none of ours."""
        names = set()
        for member in members:
            inside = parse_member(member.name)
            signed = parse_metadata_member(member.name)
            is_ours = inside is not None or signed is not None or member.name == OFFER_NAME
            if member.name in names or not is_ours:
                raise self._invalid(f"it holds {member.name!r}, twice or as no bundle does")
            if member.method != STORED or member.size != member.packed_size:
                raise self._invalid(f"{member.name!r} is packed")
            names.add(member.name)
            if signed:
                self._metadata[signed] = member
            if inside and inside.span is None:
                self._whole[inside.digest] = member
            elif inside and inside.span:
                if inside.span.length != member.size:
                    raise self._invalid(f"{member.name!r} has {member.size} bytes")
                self._spans.setdefault(inside.digest, []).append((inside.span, member))
        for spans in self._spans.values():
            spans.sort()
        if len(self._metadata) > MAX_METADATA:
            raise self._invalid(f"it holds more than {MAX_METADATA} files of metadata")

    def _read_offer(self, members: list[Member]) -> BundleOffer:
        found = [member for member in members if member.name == OFFER_NAME]
        if not found or found[0].size > MAX_OFFER_BYTES or found[0].method != STORED:
            raise ZipFault(f"it holds no {OFFER_NAME} of at most {MAX_OFFER_BYTES} bytes")
        data = self._read_member(found[0])
        return parse_bundle_offer(data, what=f"{OFFER_NAME} in {self.name}")

    def _read_member(self, member: Member) -> bytes:
        return read_content(PartsReader(self._parts), member, self.name)

    def _invalid(self, detail: str) -> PackageInvalid:
        return PackageInvalid(package=self.name, detail=detail)
