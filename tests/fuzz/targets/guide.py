"""Guides, and the documents that unfold from them with and without a base."""

from __future__ import annotations

from bitstation.codec.guiding import Papers, fold, unfold
from bitstation.core.digest import digest_of
from bitstation.core.guide import encode_guide, parse_guide
from bitstation.errors import ManifestError

BASE = Papers(b'{"the manifest": "of the base", "files": ["a", "b", "c"]}', b"atlas of the base")


def check(data: bytes) -> bool:
    """What is read is written byte for byte; what unfolds is what its digests say."""
    _folded(data)
    try:
        guide = parse_guide(data)
    except ManifestError:
        return False
    assert encode_guide(guide) == data
    for base in (None, BASE):
        try:
            found = unfold(guide, base)
        except ManifestError:
            continue
        documents = (found.papers.manifest, found.papers.atlas, found.recipes)
        for part, document in zip(
            (guide.manifest, guide.atlas, guide.recipes), documents, strict=True
        ):
            assert (part.size_bytes, part.digest) == (len(document), digest_of(document))
    return True


def _folded(data: bytes) -> None:
    """Documents made of the bytes come out of a guide as they went in."""
    first, second = len(data) // 3, len(data) * 2 // 3
    papers = Papers(data[:first], data[first:second])
    for base in (None, (digest_of(b"base"), BASE)):
        guide = fold(papers, data[second:], target_hash=digest_of(data), base=base)
        assert parse_guide(encode_guide(guide)) == guide
        assert unfold(guide, base[1] if base else None) == (papers, data[second:], b"")
