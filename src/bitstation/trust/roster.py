"""Who signs what in a place, as people are shown it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from tuf.api.metadata import Key, Role, Root, Targets

from bitstation.trust.believed import ReadMetadata
from bitstation.trust.chain import Chain
from bitstation.trust.keyring import name_of
from bitstation.trust.roles import REQUIREMENTS, ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from bitstation.trust.signing import open_chain


class RoleRow(msgspec.Struct, frozen=True):
    """A role: how many of which keys sign it, until when, and for which tools."""

    role: str
    threshold: int
    keys: tuple[str, ...]
    expires: datetime
    tools: tuple[str, ...] = ()


def roster_of(root: bytes, read: ReadMetadata) -> list[RoleRow]:
    """Every role of a place. Raises SignatureRefused, NotSigned, SourceError."""
    chain = open_chain(root, read)
    top, targets = _top(chain)
    rows = []
    for name in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP):
        signed = chain.role(name)
        assert signed is not None
        rows.append(_row(name, top.roles[name], top.keys, signed.expires))
    for name, role in (_delegated(targets)).items():
        found, keys = chain.load(name, TARGETS), targets.delegations
        if name != REQUIREMENTS and found is not None and keys is not None:
            tools = tuple(path.split("/")[0] for path in getattr(role, "paths", None) or ())
            rows.append(_row(name, role, keys.keys, found.expires, tools))
    return rows


def roles_of_key(chain: Chain, keyid: str) -> list[str]:
    """Roles that a key signs; of a publisher's key his name."""
    top, targets = _top(chain)
    names = (TIMESTAMP, SNAPSHOT, ROOT, TARGETS)
    found = [name for name in names if keyid in top.roles[name].keyids]
    return found or [name for name, role in _delegated(targets).items() if keyid in role.keyids]


def _top(chain: Chain) -> tuple[Root, Targets]:
    root, targets = chain.role(ROOT), chain.role(TARGETS)
    assert isinstance(root, Root)
    assert isinstance(targets, Targets)
    return root, targets


def _delegated(targets: Targets) -> dict[str, Role]:
    roles = targets.delegations.roles if targets.delegations else None
    return {**(roles or {})}


def _row(
    name: str, role: Role, keys: dict[str, Key], expires: datetime, tools: tuple[str, ...] = ()
) -> RoleRow:
    names = tuple(name_of(keys[keyid]) for keyid in role.keyids)
    return RoleRow(name, role.threshold, names, expires.replace(tzinfo=UTC), tools)
