"""A file of signed metadata among true ones, as it is and signed by those who may.

The input is a name, a line feed and the file.
"""

from __future__ import annotations

from collections.abc import Mapping

from bitstation.core.digest import digest_of
from bitstation.errors import MetadataExpired, NotSigned, SignatureRefused
from bitstation.trust.believed import Believed
from bitstation.trust.chain import Chain
from bitstation.trust.signing import File
from tests.fuzz.signed_place import NOW, PATH, PINNED, PLACE, RELEASE, check_words, resigned


def check(data: bytes) -> bool:
    """Nobody's bytes are believed, and whatever was shown, the truth is found afterwards."""
    head, _, document = data.partition(b"\n")
    name = head.decode("utf-8", "replace")
    found, believed = _found(Believed(PLACE[PINNED]), PLACE | {name: document})
    assert found in (None, digest_of(RELEASE.manifest))
    afterwards, _ = _found(believed, PLACE)
    assert afterwards == digest_of(RELEASE.manifest)
    # Those who may sign may say what they like, or refuse to show anything.
    signed, _ = _found(
        Believed(PLACE[PINNED]), PLACE | {name: resigned(document, File(name, b"").role)}
    )
    return signed is not None


def _found(believed: Believed, files: Mapping[str, bytes]) -> tuple[str | None, Believed]:
    """Digest of the release that is found, and what is believed then."""
    chain = Chain(believed, lambda name, most: files[name][:most] if name in files else None,
                  now=NOW, name="hq")  # fmt: skip
    digest = None
    try:
        chain.refresh()
        if found := chain.find(PATH):
            digest = found[0].hashes.get("sha256")
    except (SignatureRefused, MetadataExpired, NotSigned) as error:
        check_words(error)
    kept = chain.believed
    told = {kept.root, kept.timestamp, kept.snapshot, *kept.targets.values()} - {b""}
    assert told <= {*files.values(), PLACE[PINNED], *believed.targets.values()} | {
        believed.root,
        believed.timestamp,
        believed.snapshot,
    }
    return digest, kept
