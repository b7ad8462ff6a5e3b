"""The shortest way to know a release: from what is here, by a guide, else the manifest alone.

What a source says of the inside of files is a hint that saves bytes. Where it is damaged, absent
or a lie, the next longer way is taken, down to whole files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from bitstation.codec.guiding import Papers, unfold
from bitstation.core.atlas import Atlas, parse_atlas
from bitstation.core.digest import Digest
from bitstation.core.guide import MAX_GUIDE_BYTES, parse_guide
from bitstation.core.manifest import MAX_MANIFEST_BYTES
from bitstation.core.recipe import Recipes, parse_recipes
from bitstation.errors import DigestMismatch, ManifestError, NotFound, SourceBroken

if TYPE_CHECKING:
    from bitstation.core.wire import GuideRef
    from bitstation.transport.source import Offer, Source


class Known(Protocol):
    """Releases whose papers are here."""

    def papers(self, manifest_hash: str) -> Papers | None:
        """Manifest and atlas (empty where it is lacking) of a release, as they were published."""


class _Nothing:
    def papers(self, manifest_hash: str) -> Papers | None:
        """None: nothing is here."""
        return None


NOTHING_KNOWN: Known = _Nothing()


class Guidance(msgspec.Struct, frozen=True):
    """What a source told of a release beyond its name; of it only the manifest is ever needed."""

    manifest_bytes: bytes = b""
    atlas_bytes: bytes = b""
    atlas: Atlas = Atlas()
    recipes: Recipes = {}
    """ZPATCH and COPY over a base that is here."""
    inline: bytes = b""
    received_bytes: int = 0
    """Body bytes that it took to know all this."""
    is_local: bool = False
    """Nothing of it was asked for: this machine has the papers of the release."""


NO_GUIDANCE = Guidance()


def find_way(source: Source, offer: Offer, known: Known) -> Guidance:
    """Manifest, and where the source has one the atlas, of what a source offers.

    Raises SourceError, DigestMismatch.
    """
    papers = known.papers(offer.manifest_hash) if offer.manifest_hash else None
    here = papers and Guidance(papers.manifest, papers.atlas, _atlas_of(papers), is_local=True)
    # A release that came without its atlas learns it once: the next update needs it.
    if here and (here.atlas_bytes or all(ref.base for ref in offer.guides)):
        return here
    received: list[int] = []
    for ref, base in _ways(offer, known):
        try:
            return _guided(source, offer, ref, base, received)
        except (NotFound, ManifestError, DigestMismatch, SourceBroken):
            # Nothing of it was believed; a longer way is always there.
            continue
    if here:
        return here
    if offer.manifest_bytes is not None:
        return Guidance(offer.manifest_bytes, received_bytes=sum(received))
    if offer.manifest is None:
        raise SourceBroken(source=source.name, detail="offers a release without a manifest")
    data = source.read_object(offer.manifest.sha256, MAX_MANIFEST_BYTES, received.append)
    return Guidance(data, received_bytes=sum(received))


def _ways(offer: Offer, known: Known) -> Iterator[tuple[GuideRef, Papers | None]]:
    """Guides that start from what is here, the smallest first, then the one from nothing."""
    guides = sorted(offer.guides, key=lambda ref: ref.size)
    for ref in guides:
        papers = known.papers(ref.base) if ref.base else None
        if papers is not None and papers.atlas:
            yield ref, papers
    yield from ((ref, None) for ref in guides if ref.base is None)


def _guided(
    source: Source, offer: Offer, ref: GuideRef, base: Papers | None, received: list[int]
) -> Guidance:
    if ref.size > MAX_GUIDE_BYTES:
        raise SourceBroken(source=source.name, detail=f"offers a guide of {ref.size} bytes")
    data = source.read_object(ref.sha256, ref.size, received.append)
    what = f"the guide of {source.name}"
    guide = parse_guide(data, what=what)
    if guide.base != ref.base or offer.manifest_hash not in (None, guide.target):
        raise ManifestError.of(what, ["it leads elsewhere than was offered"])
    if offer.manifest is not None and guide.manifest.digest != offer.manifest.sha256:
        raise ManifestError.of(what, ["its manifest is another than was offered"])
    found = unfold(guide, base)
    atlas = parse_atlas(found.papers.atlas, what=what)
    counts: dict[Digest, int] = {digest: len(each) for digest, each in atlas.maps.items()}
    recipes = parse_recipes(found.recipes, counts, what=what)
    return Guidance(
        offer.manifest_bytes or found.papers.manifest,
        found.papers.atlas,
        atlas,
        recipes,
        found.inline,
        sum(received),
    )


def _atlas_of(papers: Papers) -> Atlas:
    try:
        return parse_atlas(papers.atlas) if papers.atlas else Atlas()
    except ManifestError:
        return Atlas()
