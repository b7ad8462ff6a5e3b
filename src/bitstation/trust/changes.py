"""Keys that come, go or are replaced: the next root, or the next list of publishers.

Whoever of the owners has his key here signs; whether they are enough, ``Place.change`` sees.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Root, Targets

from bitstation.errors import KeyRefused
from bitstation.trust.ceremony import delegate
from bitstation.trust.chain import Chain
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import (
    OFFLINE_LIFE,
    OWNER_ROLES,
    ROOT,
    TARGETS,
    file_name,
    publisher_fault,
)
from bitstation.trust.signing import (
    File,
    bins_of,
    next_version,
    publishers_of,
    signed_bytes,
    tools_of,
)


def change_root(
    chain: Chain, keyring: Keyring, edit: Callable[[Root], None], now: datetime
) -> list[File]:
    """The next root, signed by all owners whose keys are here, the former ones included.

    Where the owners change they sign the list of publishers anew, too. Raises KeyRefused when
    one lost key could then end everything.
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
    data = signed_bytes(root, [keyring.signer(name) for name in keyring.find(owners)])
    files = [File(file_name(ROOT, root.version), data)]
    if set(root.roles[TARGETS].keyids) != set(known.roles[TARGETS].keyids):
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
    """The next list of publishers, signed by the owners whom a root names."""
    targets = next_version(chain.targets, now, OFFLINE_LIFE)
    edit(targets)
    names = keyring.find(root.roles[TARGETS].keyids)
    data = signed_bytes(targets, [keyring.signer(name) for name in names])
    return File(file_name(TARGETS, targets.version), data)


def rekey_publisher(
    chain: Chain, keyring: Keyring, publisher: str, key_name: str, now: datetime
) -> list[File]:
    """A publisher's new key: owners admit it, and all he ever signed is signed with it anew.

    Raises KeyRefused. Cost: every bin is signed.
    """
    known, publishers = chain.load(publisher, TARGETS), publishers_of(chain.targets)
    if known is None or publisher not in publishers:
        raise KeyRefused(name=publisher, detail="there is no such publisher")
    tools = tools_of(publishers[publisher])
    signer, key = keyring.signer(key_name), keyring.public(key_name)
    files = [change_publishers(chain, keyring, _instead(publisher, key, tools), now)]
    own = bins_of(publisher, [key], now)
    own.version = known.version + 1
    files.append(File(file_name(publisher, own.version), signed_bytes(own, [signer])))
    for name in chain.snapshot.meta:
        role = name.removesuffix(".json")
        if role.rpartition("-")[0] == publisher and (held := chain.load(role, publisher)):
            fresh = next_version(held, now, OFFLINE_LIFE)
            files.append(File(file_name(role, fresh.version), signed_bytes(fresh, [signer])))
    return files


def _instead(publisher: str, key: Key, tools: tuple[str, ...]) -> Callable[[Targets], None]:
    def edit(targets: Targets) -> None:
        # He keeps his place: of two who may sign a tool the first is asked first.
        _disarm(targets, publisher)
        admit(publisher, key, tools)(targets)

    return edit


def replace_key(roles: tuple[str, ...], old: str | None, new: Key | None) -> Callable[[Root], None]:
    """Edit of a root: in some roles the key with id ``old`` goes and ``new`` comes."""

    def edit(root: Root) -> None:
        for role in roles:
            if new is not None:
                root.add_key(new, role)
            if old is not None and old in root.roles[role].keyids:
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
    own = signed_bytes(bins_of(publisher, [key], now), signers)
    return [*files, File(file_name(publisher, 1), own)]


def dismiss(publisher: str) -> Callable[[Targets], None]:
    """Edit of the list of publishers: one less. What he signed installs nowhere any more."""

    def edit(targets: Targets) -> None:
        del _disarm(targets, publisher)[publisher]

    return edit


def _disarm(targets: Targets, publisher: str) -> dict[str, DelegatedRole]:
    """Take his keys from a publisher; all publishers. Raises KeyRefused where he is none."""
    roles = targets.delegations.roles if targets.delegations else None
    if not roles or publisher not in roles:
        raise KeyRefused(name=publisher, detail="there is no such publisher")
    for keyid in list(roles[publisher].keyids):
        targets.revoke_key(keyid, publisher)
    return roles
