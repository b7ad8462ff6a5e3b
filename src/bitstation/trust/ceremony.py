"""The first keys of a place and what they sign: who may say which releases are true.

Owners hold root and the list of publishers, offline; a publisher signs releases of the tools that
he may; HQ's online key says that what it shows is all there is, day by day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from securesystemslib.signer import Key
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from bitstation.errors import KeyRefused
from bitstation.trust.chain import SIGNED_AT
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import (
    OFFLINE_LIFE,
    ONLINE_LIFE,
    ONLINE_ROLES,
    OWNER_ROLES,
    REQUIREMENTS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    file_name,
    publisher_fault,
    release_pattern,
    requirement_path,
)
from bitstation.trust.signing import File, bins_of, signed_bytes, signed_file

EVERY_TOOL = ("*",)


class Roster(msgspec.Struct, frozen=True):
    """Who holds which role, by names of keys in one keyring."""

    owners: tuple[str, ...]
    threshold: int
    """Owners who must sign together."""
    publisher: str
    publisher_key: str
    online_key: str
    tools: tuple[str, ...] = EVERY_TOOL
    """Tool ids that the publisher may publish, as patterns."""

    def check(self) -> None:
        """Raise KeyRefused where one lost key, or nobody at all, could decide everything."""
        if fault := publisher_fault(self.publisher):
            raise KeyRefused(name=self.publisher, detail=fault)
        if len(set(self.owners)) != len(self.owners) or self.threshold < 1:
            raise KeyRefused(name=ROOT, detail="owners are distinct keys, and one at least signs")
        if self.threshold >= len(self.owners):
            raise KeyRefused(
                name=ROOT,
                detail=f"of {len(self.owners)} owners {self.threshold} would have to sign: "
                "one lost key, and nothing could ever be changed again. Add an owner",
            )


HQ_ROSTER = Roster(("hq-owner-1", "hq-owner-2"), 1, "hq", "hq-publisher", "hq-online")
"""Of an HQ that makes its own keys: they all lie on its machine, and protect from all others."""


def make_keys(keyring: Keyring, roster: Roster, passphrases: dict[str, str] | None = None) -> None:
    """Make those keys of a roster that are not there yet. Raises KeyRefused."""
    roster.check()
    given = passphrases or {}
    for name in (*roster.owners, roster.publisher_key, roster.online_key):
        if name not in keyring.names:
            keyring.make(name, given.get(name, ""))


def first_files(
    keyring: Keyring, roster: Roster, now: datetime, life: timedelta = ONLINE_LIFE
) -> list[File]:
    """The first metadata of a place, in the order of writing; nothing is published yet.

    Owners and publisher sign where their keys are here. ``life`` is that of the snapshot and the
    timestamp. Raises KeyRefused.
    """
    roster.check()
    now = now.replace(microsecond=0)
    keys = [keyring.public(name) for name in roster.owners]
    owners = [keyring.signer(name) for name in keyring.find(key.keyid for key in keys)]
    key, online = keyring.public(roster.publisher_key), keyring.signer(roster.online_key)
    publisher = [keyring.signer(name) for name in keyring.find([key.keyid])]
    root = _root(keys, roster.threshold, now)
    for role in ONLINE_ROLES:
        root.add_key(keyring.public(roster.online_key), role)
    targets = Targets(expires=now + OFFLINE_LIFE, delegations=Delegations({}, roles={}))
    delegate(targets, roster.publisher, key, roster.tools)
    delegate_requirements(targets, [keyring.public(roster.online_key)])
    lists = [
        signed_file(TARGETS, targets, owners),
        signed_file(roster.publisher, bins_of(roster.publisher, [key], now), publisher),
        signed_file(REQUIREMENTS, Targets(expires=now + OFFLINE_LIFE), [online]),
    ]
    snapshot = Snapshot(expires=now + life)
    snapshot.meta = {f"{file.role}.json": MetaFile(1) for file in lists}
    timestamp = Timestamp(expires=now + life)
    timestamp.unrecognized_fields[SIGNED_AT] = now.isoformat()
    return [
        signed_file(ROOT, root, owners),
        *lists,
        signed_file(SNAPSHOT, snapshot, [online]),
        File(file_name(TIMESTAMP), signed_bytes(timestamp, [online])),
    ]


def delegate(targets: Targets, publisher: str, key: Key, tools: Sequence[str]) -> None:
    """Let a publisher sign releases of tools; one who is known gets another key or other tools."""
    _delegate(targets, publisher, [key], [release_pattern(pattern) for pattern in tools])


def delegate_requirements(targets: Targets, keys: Sequence[Key]) -> None:
    """Let HQ sign what it requires of any tool, with one of these keys."""
    _delegate(targets, REQUIREMENTS, keys, [requirement_path("*")])


def undelegate(targets: Targets, role: str) -> None:
    """Let a role sign nothing any more."""
    del _without_keys(targets, role)[role]


def _delegate(targets: Targets, role: str, keys: Sequence[Key], paths: list[str]) -> None:
    # One who is known keeps his place: of two who may sign a tool the first is asked first.
    roles = _without_keys(targets, role)
    roles[role] = DelegatedRole(role, [], 1, terminating=True, paths=paths)
    for key in keys:
        targets.add_key(key, role)


def _without_keys(targets: Targets, role: str) -> dict[str, DelegatedRole]:
    """All roles by name; one of them, if it is there, has no keys any more."""
    delegations = targets.delegations
    assert delegations is not None  # ours have them from the first version on
    assert delegations.roles is not None
    if known := delegations.roles.get(role):
        for keyid in list(known.keyids):
            targets.revoke_key(keyid, role)
    return delegations.roles


def _root(owners: Sequence[Key], threshold: int, now: datetime) -> Root:
    roles = {name: Role([], 1) for name in (*OWNER_ROLES, *ONLINE_ROLES)}
    root = Root(expires=now + OFFLINE_LIFE, roles=roles, consistent_snapshot=True)
    for role in OWNER_ROLES:
        root.roles[role].threshold = threshold
        for key in owners:
            root.add_key(key, role)
    return root
