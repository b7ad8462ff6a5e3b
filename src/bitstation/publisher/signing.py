"""A release is signed where it is published: before it shows, by the publisher's own key."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.mirror import METADATA
from bitstation.errors import NotSigned, PublishRefused
from bitstation.transport.hq import HqClient, HqSource
from bitstation.trust.authorize import reading
from bitstation.trust.chain import utc_now
from bitstation.trust.keyring import Keyring
from bitstation.trust.place import Place
from bitstation.trust.roles import ROOT, STATIC_LIFE, file_name, max_bytes
from bitstation.trust.signing import (
    File,
    ReleaseName,
    is_signed,
    open_chain,
    publisher_for,
    sign_release,
)

_ATTEMPTS = 5


class HqSigner:
    """Signs what is published at an HQ that has our root; HQ seals it with its online key."""

    def __init__(self, client: HqClient, keyring: Keyring) -> None:
        self._client = client
        self._keyring = keyring

    def check(self, release: ReleaseName) -> None:
        """Raise what ``sign`` would; nothing is sent."""
        self._signed(release)

    def sign(self, release: ReleaseName) -> None:
        """Send HQ the bin of the release, unless it is signed there already.

        Raises NotSigned where our key may not sign for the tool, KeyRefused where it cannot,
        SignatureRefused where HQ has another root than ours, ReleaseConflict.
        """
        for attempt in range(_ATTEMPTS):
            file = self._signed(release)
            if file is None:
                return
            try:
                self._client.put_metadata(file.name, file.data)
                return
            except PublishRefused:
                # Another publisher's release may have come into the same bin meanwhile.
                if attempt == _ATTEMPTS - 1:
                    raise

    def _signed(self, release: ReleaseName) -> File | None:
        """What HQ has to take in; None where it has."""
        own = Place(self._keyring.folder / METADATA, self._keyring, STATIC_LIFE)
        # The first one: whatever root HQ has now must follow from it.
        root = own.read(file_name(ROOT, 1), max_bytes(ROOT))
        if root is None:
            raise NotSigned(source=str(self._keyring.folder))
        chain = open_chain(root, reading(HqSource(self._client)), self._client.name)
        publisher, key = publisher_for(chain, self._keyring, release)
        if is_signed(chain, release):
            return None
        return sign_release(chain, publisher, [self._keyring.signer(key)], release, utc_now())


class FolderSigner:
    """Signs what is published in a folder, below ``metadata/`` there.

    A new folder begins with what lies beside the keys. Raises NotSigned where there is nothing,
    or no key here may sign for the tool; KeyRefused where one cannot; ReleaseConflict.
    """

    def __init__(self, root: Path, keyring: Keyring) -> None:
        self._place = Place(root / METADATA, keyring, STATIC_LIFE)
        self._own = Place(keyring.folder / METADATA, keyring, STATIC_LIFE)

    def check(self, release: ReleaseName) -> None:
        """Raise what ``sign`` would; nothing is written."""
        self._known().check(release)

    def sign(self, *releases: ReleaseName) -> None:
        """Sign releases; where all are signed already, what there is holds longer."""
        place = self._place
        if not place.exists:
            place.begin_as(self._known())
        for release in releases:
            place.sign(release)
        place.renew()

    def _known(self) -> Place:
        known = self._place if self._place.exists else self._own
        if not known.exists:
            raise NotSigned(source=str(known.keyring.folder))
        return known
