"""Who signs what in a place, as people are shown it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from tuf.api.metadata import Key, Role, Root, Signed, Targets

from bitstation.trust.believed import ReadMetadata
from bitstation.trust.chain import Chain
from bitstation.trust.keyring import name_of
from bitstation.trust.roles import (
    ONLINE_ROLES,
    OWNER_ROLES,
    REQUIREMENTS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
)
from bitstation.trust.signing import open_chain, publishers_of, tools_of


class RoleRow(msgspec.Struct, frozen=True):
    """A role: how many of which keys sign it, until when, and for which tools."""

    role: str
    threshold: int
    keys: tuple[str, ...]
    expires: datetime | None = None
    """None where its own metadata were not read."""
    tools: tuple[str, ...] = ()


def roster_of(root: bytes, read: ReadMetadata) -> list[RoleRow]:
    """Every role of a place. Raises SignatureRefused, NotSigned, SourceError."""
    chain = open_chain(root, read)
    top: dict[str, Signed] = {ROOT: chain.root, TARGETS: chain.targets}
    top |= {SNAPSHOT: chain.snapshot, TIMESTAMP: chain.timestamp}
    rows = [
        _row(name, chain.root.roles[name], chain.root.keys, signed.expires)
        for name, signed in top.items()
    ]
    keys = chain.targets.delegations.keys if chain.targets.delegations else {}
    for name, role in publishers_of(chain.targets).items():
        if name != REQUIREMENTS and (found := chain.load(name, TARGETS)):
            rows.append(_row(name, role, keys, found.expires, tools_of(role)))
    return rows


def rows_of(root: Root, targets: Targets, expiries: Mapping[str, datetime]) -> list[RoleRow]:
    """Every role as owners sign it: each key with the start of its id, for names may be equal.

    ``expiries``: of publishers who begin.
    """
    signed = {ROOT: root.expires, TARGETS: targets.expires, TIMESTAMP: None, SNAPSHOT: None}
    rows = [
        _row(name, root.roles[name], root.keys, expires, label=_name_and_id)
        for name, expires in signed.items()
    ]
    keys = targets.delegations.keys if targets.delegations else {}
    for name, role in publishers_of(targets).items():
        tools = tools_of(role) if name != REQUIREMENTS else ()
        expires = expiries.get(name)
        rows.append(_row(name, role, keys, expires, tools, label=_name_and_id))
    return rows


def _name_and_id(key: Key) -> str:
    return f"{name_of(key)} ({key.keyid[:16]})"


def roles_of_key(chain: Chain, keyid: str) -> tuple[str, ...]:
    """Roles that a key signs; of a publisher's key his name."""
    for roles in (ONLINE_ROLES, OWNER_ROLES):
        if found := tuple(name for name in roles if keyid in chain.root.roles[name].keyids):
            return found
    publishers = publishers_of(chain.targets).items()
    return tuple(name for name, role in publishers if keyid in role.keyids)


def _row(
    name: str,
    role: Role,
    keys: dict[str, Key],
    expires: datetime | None,
    tools: tuple[str, ...] = (),
    *,
    label: Callable[[Key], str] = name_of,
) -> RoleRow:
    names = tuple(label(keys[keyid]) for keyid in role.keyids)
    return RoleRow(name, role.threshold, names, expires, tools)
