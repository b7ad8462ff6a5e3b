"""Metadata that wait for owners on other machines: who has to sign, and what they see before.

Everything in a draft is hostile until ``Draft.check`` returned: it travels on disks and by mail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from bitstation.core.canonical import JsonFault, parse_json
from bitstation.errors import KeyRefused, SignatureRefused
from bitstation.trust.chain import check_root, utc_now
from bitstation.trust.keyring import Keyring, name_of
from bitstation.trust.plain import faults_of
from bitstation.trust.roles import (
    OFFLINE_LIFE,
    OWNER_ROLES,
    REQUIREMENTS,
    ROOT,
    SLACK,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
)
from bitstation.trust.signing import File, may_require, more_signed, publishers_of

NAME = "the draft"


class Wait(msgspec.Struct, frozen=True):
    """How many of which keys have still to sign a role."""

    role: str
    missing: int
    keys: tuple[str, ...]


class Draft(msgspec.Struct, frozen=True):
    """The next metadata of a place, and the root and the publishers that they follow.

    Of a place that does not exist yet ``before`` is empty, and ``files`` are all that it will
    show. Raises SignatureRefused for what is damaged, forged, or follows something else.
    """

    files: tuple[File, ...]
    """In the order of writing out."""
    before: tuple[File, ...] = ()

    def check(self, now: datetime | None = None) -> None:
        """Raise for what no owner should sign ``now``; ``trust/plain.py`` says most of it."""
        now = now or utc_now()
        for file in (*self.before, *self.files):
            file.check_name()
        self._check_before()
        roles = [file.role for file in self.files]
        if len(set(roles)) != len(roles) or (self.before and {SNAPSHOT, TIMESTAMP} & set(roles)):
            raise _refused(ROOT, "it holds other files than a draft does")
        for file in self.awaited():
            metadata = _parsed(file)
            with _refusing(file.role):
                known = self._version_before(file.role)
                if known is not None and file.version != known + 1:
                    raise _refused(file.role, f"version {file.version} does not follow {known}")
                if metadata.signed.version != file.version:
                    raise _refused(file.role, f"its version is not {file.version}")
            _check_life(file.role, metadata.signed.expires, now)
            _check_plain(file.role, metadata, list(self._may_sign(file.role).values()))
            self._check_signatures(file.role, metadata)
        root, targets = self.then()
        if not may_require(targets, root):
            raise _refused(TARGETS, "HQ would not require with the key of its timestamps")

    def awaited(self) -> Iterator[File]:
        """Files that people sign: those of owners, and what a publisher begins with."""
        for file in self.files:
            is_of_hq = file.role in (SNAPSHOT, TIMESTAMP, REQUIREMENTS)
            if file.role in OWNER_ROLES or (not is_of_hq and file.version == 1):
                yield file

    def waits(self) -> list[Wait]:
        """Who has still to sign; nobody where it can be taken in."""
        missing: dict[tuple[str, tuple[str, ...]], int] = {}
        for file in self.awaited():
            metadata = _parsed(file)
            for delegator in self._delegators(file.role):
                with _refusing(file.role):
                    seen = delegator.get_verification_result(
                        file.role, metadata.signed_bytes, metadata.signatures
                    )
                if seen.missing > 0:
                    names = tuple(sorted(name_of(key) for key in seen.unsigned.values()))
                    # The former owners and the next are asked apart; to people it is one question.
                    known = missing.get((file.role, names), 0)
                    missing[file.role, names] = max(known, seen.missing)
        return [Wait(role, count, names) for (role, names), count in missing.items()]

    def sign(self, keyring: Keyring) -> Draft:
        """The same with the signatures of all keys here that may sign and have not.

        Raises KeyRefused where there is none.
        """
        fresh: dict[str, File] = {}
        # A passphrase is asked for once, not once a file.
        signer = cache(keyring.signer)
        for file in self.awaited():
            metadata, keys = _parsed(file), self._may_sign(file.role)
            keyring.learn(keys.values())
            if names := keyring.find(set(keys) - set(metadata.signatures)):
                data = more_signed(metadata, [signer(name) for name in names])
                fresh[file.name] = File(file.name, data)
        if not fresh:
            raise KeyRefused(name=str(keyring.folder), detail="no key there has still to sign it")
        signed = Draft(tuple(fresh.get(file.name, file) for file in self.files), self.before)
        signed.check()
        return signed

    def expiries(self) -> dict[str, datetime]:
        """Until when each holds that people sign, by role."""
        return {file.role: _parsed(file).signed.expires for file in self.awaited()}

    def now(self) -> tuple[Root, Targets] | None:
        """Root and publishers that are replaced; None where there are none yet."""
        if not self.before:
            return None
        root, targets = (_parsed(file).signed for file in self.before)
        return root, targets

    def then(self) -> tuple[Root, Targets]:
        """Root and publishers after it is taken in."""
        found = {file.role: file for file in (*self.before, *self.files)}
        return _parsed(found[ROOT]).signed, _parsed(found[TARGETS]).signed

    def _check_before(self) -> None:
        if not self.before:
            named = {file.role for file in self.files}
            if {ROOT, TARGETS, SNAPSHOT, TIMESTAMP} - named:
                raise _refused(ROOT, "there is nothing that it follows")
            return
        if [file.role for file in self.before] != [ROOT, TARGETS]:
            raise _refused(ROOT, "what it follows is not there")
        root = check_root(self.before[0].data, name=NAME)
        targets = _parsed(self.before[1])
        _check_plain(ROOT, _parsed(self.before[0]))
        _check_plain(TARGETS, targets)
        with _refusing(TARGETS):
            root.verify_delegate(TARGETS, targets.signed_bytes, targets.signatures)

    def _version_before(self, role: str) -> int | None:
        """Version that the next one follows; None of a publisher's, whose place knows it."""
        if not self.before:
            return 0
        return {file.role: file.version for file in self.before}.get(role)

    def _check_signatures(self, role: str, metadata: Metadata[Any]) -> None:
        known = self._may_sign(role)
        for keyid, signature in metadata.signatures.items():
            if keyid not in known:
                raise _refused(role, f"key {str(keyid)[:16]} signed it, and is none of its keys")
            with _refusing(role):
                known[keyid].verify_signature(signature, metadata.signed_bytes)

    def _may_sign(self, role: str) -> dict[str, Key]:
        with _refusing(role):
            return {
                keyid: delegator.get_key(keyid)
                for delegator in self._delegators(role)
                for keyid in delegator.get_delegated_role(role).keyids
            }

    def _delegators(self, role: str) -> Sequence[Root | Targets]:
        now, (root, targets) = self.now(), self.then()
        if role == ROOT:
            return [now[0], root] if now else [root]
        if role == TARGETS:
            return [root]
        if role not in publishers_of(targets):
            raise _refused(role, "it is no publisher")
        return [targets]


@contextmanager
def _refusing(role: str) -> Iterator[None]:
    try:
        yield
    except UnverifiedSignatureError as error:
        raise _refused(role, "it was changed after somebody signed it") from error
    except (RepositoryError, DeserializationError, JsonFault) as error:
        raise _refused(role, str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused(role, f"{type(error).__name__}: {error}") from error


def _check_life(role: str, expires: datetime, now: datetime) -> None:
    """Refuse what would hold no more, and what would hold for longer than we let anything hold."""
    if not now < expires <= now + OFFLINE_LIFE + SLACK:
        raise _refused(role, f"it would hold until {expires.date()}, and it is {now.date()} here")


def _check_plain(role: str, metadata: Metadata[Any], keys: Sequence[Key] = ()) -> None:
    with _refusing(role):
        for fault in faults_of(role, metadata.signed, keys):
            raise _refused(role, fault)


def _parsed(file: File) -> Metadata[Any]:
    """Metadata of owners or a publisher, of the kind that its file's name says."""
    with _refusing(file.role):
        # Two readers must not read it differently.
        parse_json(file.data)
        metadata: Metadata[Any] = Metadata.from_bytes(file.data)
    if not isinstance(metadata.signed, Root if file.role == ROOT else Targets):
        raise _refused(file.role, "it is metadata of another kind")
    return metadata


def _refused(role: str, detail: str) -> SignatureRefused:
    return SignatureRefused(source=NAME, what=role, detail=detail)
