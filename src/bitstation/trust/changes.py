"""Keys that come, go or are replaced: the next root, or the next list of publishers.

Whoever of the owners has his key here signs; whether they are enough, ``Place.change`` sees.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Root, Targets

from bitstation.errors import KeyRefused
from bitstation.trust.ceremony import delegate, delegate_requirements, undelegate
from bitstation.trust.chain import Chain
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import (
    OFFLINE_LIFE,
    OWNER_ROLES,
    REQUIREMENTS,
    ROOT,
    TARGETS,
    TIMESTAMP,
    publisher_fault,
)
from bitstation.trust.signing import (
    File,
    bins_held,
    bins_of,
    next_version,
    publishers_of,
    signed_file,
    tools_of,
)


def change_root(
    chain: Chain, keyring: Keyring, edit: Callable[[Root], None], now: datetime
) -> list[File]:
    """The next root, signed by all owners whose keys are here, the former ones included.

    Where the owners or the online key change they sign the list of publishers anew, too. Raises
    KeyRefused when one lost key could then end everything.
    """
    known = chain.root
    root = next_version(known, now, OFFLINE_LIFE)
    edit(root)
    for role in OWNER_ROLES:
        keyids, threshold = root.roles[role].keyids, root.roles[role].threshold
        if threshold >= len(keyids):
            detail = f"of {len(keyids)} owners {threshold} would have to sign: keep one in reserve"
            raise KeyRefused(name=role, detail=detail)
    owners = {*known.roles[ROOT].keyids, *root.roles[ROOT].keyids}
    files = [signed_file(ROOT, root, [keyring.signer(name) for name in keyring.find(owners)])]
    if any(root.roles[role].keyids != known.roles[role].keyids for role in (TARGETS, TIMESTAMP)):
        files.append(_signed_targets(chain, keyring, root, lambda _targets: None, now))
    return files


def change_publishers(
    chain: Chain, keyring: Keyring, edit: Callable[[Targets], None], now: datetime
) -> File:
    """The next list of publishers, signed by all owners whose keys are here."""
    return _signed_targets(chain, keyring, chain.root, edit, now)


def _signed_targets(
    chain: Chain, keyring: Keyring, root: Root, edit: Callable[[Targets], None], now: datetime
) -> File:
    """The next list of publishers, signed by the owners whom a root names.

    HQ requires by it with the key that signs its timestamps.
    """
    targets = next_version(chain.targets, now, OFFLINE_LIFE)
    edit(targets)
    delegate_requirements(targets, [root.keys[name] for name in root.roles[TIMESTAMP].keyids])
    names = keyring.find(root.roles[TARGETS].keyids)
    return signed_file(TARGETS, targets, [keyring.signer(name) for name in names])


def rekey_publisher(
    chain: Chain, keyring: Keyring, publisher: str, key_name: str, now: datetime
) -> list[File]:
    """A publisher's new key: owners admit it, and all he ever signed is signed with it anew.

    Raises KeyRefused. Cost: every bin is signed.
    """
    tools = tools_of(_known(chain.targets, publisher))
    signer, key = keyring.signer(key_name), keyring.public(key_name)
    files = [change_publishers(chain, keyring, admit(publisher, key, tools), now)]
    own, before = bins_of(publisher, [key], now), chain.load(publisher, TARGETS)
    own.version = before.version + 1 if before else 1
    files.append(signed_file(publisher, own, [signer]))
    for role, held in bins_held(chain, publisher).items():
        fresh = next_version(held, now, OFFLINE_LIFE)
        files.append(signed_file(role, fresh, [signer]))
    return files


def replace_key(roles: tuple[str, ...], old: str | None, new: Key | None) -> Callable[[Root], None]:
    """Edit of a root: in some roles the key with id ``old`` goes and ``new`` comes."""

    def edit(root: Root) -> None:
        for role in roles:
            if new is not None:
                root.add_key(new, role)
            if old in root.roles[role].keyids:
                root.revoke_key(old, role)

    return edit


def admit(publisher: str, key: Key, tools: tuple[str, ...]) -> Callable[[Targets], None]:
    """Edit of the list of publishers: one more, or another key for one who is there.

    Raises KeyRefused for what is no name of a publisher.
    """
    if fault := publisher_fault(publisher):
        raise KeyRefused(name=publisher, detail=fault)
    return lambda targets: delegate(targets, publisher, key, tools)


def admit_publisher(
    chain: Chain,
    keyring: Keyring,
    publisher: str,
    key_name: str,
    tools: tuple[str, ...],
    now: datetime,
) -> list[File]:
    """A publisher more, with what he begins with; or other tools for one who is there.

    Raises KeyRefused for one who was or is there with another key.
    """
    key, known = keyring.public(key_name), publishers_of(chain.targets).get(publisher)
    files = [change_publishers(chain, keyring, admit(publisher, key, tools), now)]
    if known is not None and known.keyids == [key.keyid]:
        return files
    if known is not None or f"{publisher}.json" in chain.snapshot.meta:
        detail = "there is, or was, a publisher of that name: rotate his key, or take another name"
        raise KeyRefused(name=publisher, detail=detail)
    signers = [keyring.signer(name) for name in keyring.find([key.keyid])]
    return [*files, signed_file(publisher, bins_of(publisher, [key], now), signers)]


def dismiss(publisher: str) -> Callable[[Targets], None]:
    """Edit of the list of publishers: one less. What he signed installs nowhere any more."""

    def edit(targets: Targets) -> None:
        _known(targets, publisher)
        undelegate(targets, publisher)

    return edit


def _known(targets: Targets, publisher: str) -> DelegatedRole:
    """A publisher as he is listed, which HQ is not with what it requires. Raises KeyRefused."""
    found = publishers_of(targets).get(publisher)
    if found is None or publisher == REQUIREMENTS:
        raise KeyRefused(name=publisher, detail="there is no such publisher")
    return found
