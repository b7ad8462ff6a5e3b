"""A signed place that is the same in each run: what its keys sign, and what others make of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey
from tuf.api.metadata import Metadata

from bitstation.errors import BitStationError
from bitstation.trust.ceremony import Roster, first_files
from bitstation.trust.changes import change_root
from bitstation.trust.draft import Draft
from bitstation.trust.keyring import NAME_FIELD, keyid_of
from bitstation.trust.roles import (
    OFFLINE_LIFE,
    ONLINE_LIFE,
    OWNER_ROLES,
    REQUIREMENTS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    file_name,
    release_path,
)
from bitstation.trust.signing import (
    File,
    ReleaseName,
    more_signed,
    next_version,
    open_chain,
    seal,
    sign_release,
    signed_bytes,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ROSTER = Roster(("ana", "ben", "eva"), 2, "acme", "acme-key", "hq-online")
RELEASE = ReleaseName("tool", "1.0.0", b"its manifest")
PATH = release_path(RELEASE.tool_id, RELEASE.version)
PINNED = file_name(ROOT, 1)
_MOST_WORDS = 10_000


class Keys:
    """A keyring in memory, of keys that are no secret."""

    def __init__(self, *names: str) -> None:
        self._privates = {
            name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b".")[:32])
            for name in (*ROSTER.owners, ROSTER.publisher_key, ROSTER.online_key)
        }
        self._here = names or tuple(self._privates)

    def public(self, name: str) -> Key:
        key = SSlibKey.from_crypto(self._privates[name].public_key())
        named = {"keytype": key.keytype, "scheme": key.scheme, "keyval": key.keyval}
        return Key.from_dict(keyid_of(key), {**named, NAME_FIELD: name})

    def signer(self, name: str) -> Signer:
        return CryptoSigner(self._privates[name], cast(SSlibKey, self.public(name)))

    def find(self, keyids: Iterable[str]) -> list[str]:
        wanted = set(keyids)
        return [name for name in self._here if self.public(name).keyid in wanted]


_keys = Keys()


def resigned(data: bytes, role: str, owners: Iterable[str] = ROSTER.owners) -> bytes:
    """Metadata as those sign them who may; the bytes themselves where they are none."""
    names = {ROOT: owners, TARGETS: owners}.get(role, (ROSTER.publisher_key,))
    if role in (SNAPSHOT, TIMESTAMP, REQUIREMENTS):
        names = (ROSTER.online_key,)
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(data)
        metadata.signatures.clear()
        return more_signed(metadata, map(_keys.signer, names))
    except Exception:  # noqa: BLE001 - what nobody can sign is shown as it is
        return data


def check_words(error: BitStationError) -> None:
    """An error says no more than people can read."""
    assert len(str(error)) < _MOST_WORDS


def _first(*names: str) -> list[File]:
    return first_files(cast(Any, Keys(*names)), ROSTER, NOW)


def _place() -> dict[str, bytes]:
    """With a release, and the second root."""
    files = dict(_first())
    chain = open_chain(files[PINNED], lambda name, _most: files.get(name))
    publisher = _keys.signer(ROSTER.publisher_key)
    release = sign_release(chain, ROSTER.publisher, [publisher], RELEASE, NOW)
    (root,) = change_root(chain, cast(Any, _keys), lambda _root: None, NOW)
    online = _keys.signer(ROSTER.online_key)
    return files | dict([root, *seal(chain, [release], online, ONLINE_LIFE, NOW)])


def _next() -> Draft:
    """Root and publishers as they follow the first ones; of two owners one has signed."""
    before = tuple(file for file in _first() if file.role in OWNER_ROLES)
    files = []
    for file in before:
        signed = next_version(Metadata[Any].from_bytes(file.data).signed, NOW, OFFLINE_LIFE)
        files.append(File(file_name(file.role, 2), signed_bytes(signed, [_keys.signer("ana")])))
    return Draft(tuple(files), before)


PLACE = _place()
"""Names and bytes of its files."""
FIRST = Draft(tuple(_first(ROSTER.online_key)))
"""What it begins with, before anybody but HQ has signed."""
NEXT = _next()
