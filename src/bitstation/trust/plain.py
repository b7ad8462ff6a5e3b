"""Metadata of owners as we write them: whoever reads who signs what has then seen all of them.

A signature is given for bytes, but to what a person was shown. So nothing may stand in them that
is not shown: a field that we do not write, a key under the id of another, a release among the
publishers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Delegations, Role, Root, Signed, Targets

from bitstation.trust.keyring import NAME_FIELD, keyid_of, name_of
from bitstation.trust.roles import (
    OWNER_ROLES,
    REQUIREMENTS,
    TARGETS,
    publisher_fault,
    release_pattern,
    requirement_path,
)
from bitstation.trust.signing import bins_of, publishers_of, tools_of


def faults_of(role: str, signed: Root | Targets, own: Sequence[Key] = ()) -> Iterator[str]:
    """What in the next metadata of a role could not be seen by who signs it.

    ``own``: the keys that the list of publishers, which is shown, gives to a publisher.
    """
    if isinstance(signed, Root):
        yield from _faults_of_root(signed)
    elif role == TARGETS:
        yield from _faults_of_publishers(signed)
    else:
        keys = signed.delegations.keys if signed.delegations else {}
        yield from _faults_of_keys(keys, [list(keys)])
        if signed.to_dict() != _dated(bins_of(role, own, signed.expires), signed):
            yield "it is not what a publisher begins with"


def _faults_of_root(root: Root) -> Iterator[str]:
    yield from _faults_of_keys(root.keys, [role.keyids for role in root.roles.values()])
    roles = {name: Role(role.keyids, role.threshold) for name, role in root.roles.items()}
    if root.to_dict() != _dated(Root(keys=root.keys, roles=roles), root):
        yield "it holds what is not shown"
    for name in OWNER_ROLES:
        threshold, count = root.roles[name].threshold, len(root.roles[name].keyids)
        if threshold >= count:
            yield f"of {count} owners {threshold} would have to sign: one lost key ends everything"


def _faults_of_publishers(targets: Targets) -> Iterator[str]:
    publishers = publishers_of(targets)
    keys = targets.delegations.keys if targets.delegations else {}
    yield from _faults_of_keys(keys, [role.keyids for role in publishers.values()])
    roles = {}
    for name, role in publishers.items():
        tools = [tool for tool in tools_of(role) if tool.isascii() and tool.isprintable()]
        paths = [release_pattern(tool) for tool in tools]
        if name == REQUIREMENTS:
            paths = [requirement_path("*")]
        elif fault := publisher_fault(name):
            yield fault
        roles[name] = DelegatedRole(
            name, role.keyids, role.threshold, terminating=True, paths=paths
        )
    if targets.to_dict() != _dated(Targets(delegations=Delegations(keys, roles=roles)), targets):
        yield "it holds what is not shown"


def _dated(made: Signed, signed: Signed) -> dict[str, object]:
    made.version, made.spec_version = signed.version, signed.spec_version
    made.expires = signed.expires
    return made.to_dict()


def _faults_of_keys(keys: dict[str, Key], used: list[list[str]]) -> Iterator[str]:
    if set(keys) != {keyid for keyids in used for keyid in keyids}:
        yield "its keys are others than those of its roles"
    for keyid, key in keys.items():
        if keyid != keyid_of(key) or set(key.unrecognized_fields) - {NAME_FIELD}:
            yield f"key {name_of(key)} is not what its id says"
