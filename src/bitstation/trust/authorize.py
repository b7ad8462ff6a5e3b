"""The one question before an install: whether a release may run here, whoever offers it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from bitstation.codec.zstd import ZstdFault, decompress_bounded
from bitstation.core.digest import digest_of
from bitstation.core.mirror import PACKED_SUFFIX
from bitstation.errors import NotPinned, NotSigned, SignatureRefused
from bitstation.transport.source import Source
from bitstation.trust.believed import Believed, ReadMetadata
from bitstation.trust.pins import Pins
from bitstation.trust.roles import is_packed, release_path, requirement_path

if TYPE_CHECKING:
    from bitstation.trust.chain import Chain


class Grounds(enum.StrEnum):
    """Why a release is allowed."""

    SIGNED = "signed"
    """By a publisher whom the pinned root names."""
    CALLER = "caller"
    """The program that embeds us gave the manifest, and nothing is pinned."""
    UNSIGNED = "unsigned"
    """By the user's word: whoever controls the source decides."""


class Authority:
    """Decides for one run what of a source may be installed.

    ``is_given``: the calling program gave the manifest itself, which counts where nothing is
    pinned. What was learnt of a source is kept at once, for it protects the next run.
    """

    def __init__(
        self,
        pins: Pins,
        source: Source,
        *,
        root: str,
        allow_unsigned: bool = False,
        is_given: bool = False,
    ) -> None:
        self._pins = pins
        self._source = source
        self._root = root
        self._allow_unsigned = allow_unsigned
        self._is_given = is_given
        self._chain: Chain | None = None
        self._before: Believed | None = pins.load()
        self.grounds = Grounds.UNSIGNED
        self.signer = ""
        """Role whose signature the release has."""

    @property
    def is_pinned(self) -> bool:
        """Say whether this machine knows whose releases it takes."""
        return self._before is not None

    def prepare(self) -> None:
        """Look what is signed, before anything of a release is read.

        Raises NotPinned, NotSigned, SignatureRefused, MetadataExpired, SourceError.
        """
        if self._before is None:
            if not (self._allow_unsigned or self._is_given):
                raise NotPinned(root=self._root)
            self.grounds = Grounds.UNSIGNED if self._allow_unsigned else Grounds.CALLER
            return
        from bitstation.trust.chain import Chain

        read = reading(self._source)
        self._chain = Chain(self._before, read, name=self._source.name)
        try:
            self._chain.refresh()
        except NotSigned:
            if not self._allow_unsigned:
                raise
            self._chain = None
        finally:
            self._keep()

    def vet(self, tool_id: str, version: str, manifest_bytes: bytes) -> None:
        """Refuse a manifest that is not the signed one of a release.

        Raises NotSigned, SignatureRefused, MetadataExpired, SourceError.
        """
        if self._chain is None:
            return
        try:
            found = self._chain.find(release_path(tool_id, version))
        finally:
            self._keep()
        if found is None:
            if self._allow_unsigned:
                return
            raise NotSigned(source=f"{self._source.name}: {tool_id} {version}")
        target, role = found
        actual = digest_of(manifest_bytes)
        if target.hashes.get("sha256") != actual or target.length != len(manifest_bytes):
            detail = f"the manifest has SHA-256 {actual}, {target.hashes.get('sha256')} is signed"
            raise SignatureRefused(
                source=self._source.name, what=f"{tool_id} {version}", detail=detail
            )
        self.grounds, self.signer = Grounds.SIGNED, role.partition("-")[0]

    def confirms_requirement(self, tool_id: str, version: str, manifest_hash: str) -> bool:
        """Say whether HQ's signature, too, demands exactly this release: a way back needs it."""
        if self._chain is None:
            return not self.is_pinned
        try:
            found = self._chain.find(requirement_path(tool_id))
        finally:
            self._keep()
        said = found[0].custom if found else None
        demands = said.values() if isinstance(said, dict) else ()
        return [version, manifest_hash] in demands

    def _keep(self) -> None:
        if self._chain is not None and self._before is not None:
            self._pins.keep(self._chain.believed, self._before)


def reading(source: Source) -> ReadMetadata:
    """Metadata of a source, packed ones first; those of root and timestamp are never packed."""

    def read(name: str, most_bytes: int) -> bytes | None:
        if is_packed(name):
            packed = source.read_metadata(name + PACKED_SUFFIX, most_bytes)
            if packed is not None:
                try:
                    return bytes(decompress_bounded(packed, most_bytes))
                except ZstdFault as error:
                    raise SignatureRefused(
                        source=source.name, what=name, detail=str(error)
                    ) from error
        return source.read_metadata(name, most_bytes)

    return read
