"""The next metadata of a place: a release more, sealed by its online key, or keys that changed.

Everything here is values: current metadata in, files in the order in which they must be written
out. The last one is the timestamp; before it no worker sees any of the others.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    SuccinctRoles,
    TargetFile,
    Targets,
)

from bitstation.core.digest import digest_of
from bitstation.core.manifest import Manifest
from bitstation.core.wire import Requirement
from bitstation.errors import KeyRefused, NotSigned, ReleaseConflict, SignatureRefused
from bitstation.trust.believed import Believed, ReadMetadata
from bitstation.trust.chain import SIGNED_AT, Chain
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import (
    BIN_BITS,
    OFFLINE_LIFE,
    REQUIREMENTS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    file_name,
    release_path,
    requirement_path,
)

S = TypeVar("S", bound=Signed)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class File(NamedTuple):
    """A metadata file."""

    name: str
    data: bytes

    @property
    def role(self) -> str:
        """Role whose metadata it holds."""
        return self.name.removesuffix(".json").rpartition(".")[2]

    @property
    def version(self) -> int:
        """Version that its name states; that of the timestamp states none. Raises ValueError."""
        return int(self.name.partition(".")[0])

    def check_name(self) -> None:
        """Refuse a name that is not the one of its role and version: nobody would ask for it.

        Raises SignatureRefused.
        """
        try:
            known = file_name(self.role, None if self.role == TIMESTAMP else self.version)
        except ValueError:
            known = ""
        if self.name != known:
            detail = "its file has another name than such metadata have"
            raise SignatureRefused(source="the new metadata", what=self.role[:64], detail=detail)


class ReleaseName(NamedTuple):
    """A release, and the digest of its manifest as it is published."""

    tool_id: str
    version: str
    manifest: bytes

    @classmethod
    def of(cls, manifest: Manifest) -> ReleaseName:
        """The name of a manifest that is published as it is encoded here."""
        return cls(manifest.tool_id, manifest.tool_version, manifest.encode())


def open_chain(root: bytes, read: ReadMetadata, name: str = "") -> Chain:
    """What a place has now, for who will sign the next: that it has expired is no hindrance.

    Raises SignatureRefused, NotSigned, SourceError.
    """
    chain = Chain(Believed(root), read, now=LONG_AGO, name=name)
    chain.refresh()
    return chain


def sign_release(
    chain: Chain, publisher: str, signers: Sequence[Signer], release: ReleaseName, now: datetime
) -> File:
    """The bin of a publisher with a release more, which ``is_signed`` found not to be there.

    Raises NotSigned for a publisher that this place does not know.
    """
    path = release_path(release.tool_id, release.version)
    delegation = chain.load(publisher, TARGETS)
    bins = delegation.delegations.succinct_roles if delegation and delegation.delegations else None
    if bins is None:
        raise NotSigned(source=f"publisher {publisher}")
    role = bins.get_role_for_target(path)
    targets = _next_targets(chain.load(role, publisher), now)
    targets.targets[path] = TargetFile.from_data(path, release.manifest, ["sha256"])
    return signed_file(role, targets, signers)


def is_signed(chain: Chain, release: ReleaseName) -> bool:
    """Say whether these very bytes are signed. Raises ReleaseConflict when others are."""
    found = chain.find(release_path(release.tool_id, release.version))
    if found is None:
        return False
    known, offered = found[0].hashes.get("sha256"), digest_of(release.manifest)
    if known != offered:
        raise ReleaseConflict(
            tool_id=release.tool_id, version=release.version, known=known, offered=offered
        )
    return True


def sign_requirement(
    chain: Chain, signer: Signer, required: Requirement | None, now: datetime
) -> File:
    """What HQ requires, signed with its online key; None: as it is, for that key is another now."""
    targets = _next_targets(chain.load(REQUIREMENTS, TARGETS), now)
    if required is not None:
        _require(targets, required)
    return signed_file(REQUIREMENTS, targets, [signer])


def _require(targets: Targets, required: Requirement) -> None:
    """Put what HQ requires of a tool in, channel by channel."""
    path = requirement_path(required.tool_id)
    known = targets.targets.get(path)
    said = dict(known.custom) if known and isinstance(known.custom, dict) else {}
    said[required.channel] = [required.version, required.manifest_hash]
    target = TargetFile.from_data(path, b"", ["sha256"])
    target.unrecognized_fields["custom"] = said
    targets.targets[path] = target


def seal(
    chain: Chain, changed: Iterable[File], signer: Signer, life: timedelta, now: datetime
) -> list[File]:
    """Changed files, and the snapshot and timestamp that make them visible; in order of writing.

    ``chain`` has been refreshed. With nothing changed the two are only made younger.
    """
    files = list(changed)
    snapshot = next_version(chain.snapshot, now, life)
    for file in files:
        if file.role != ROOT:
            snapshot.meta[f"{file.role}.json"] = MetaFile(file.version)
    timestamp = next_version(chain.timestamp, now, life)
    timestamp.snapshot_meta = MetaFile(snapshot.version)
    timestamp.unrecognized_fields[SIGNED_AT] = now.isoformat(timespec="seconds")
    files.append(signed_file(SNAPSHOT, snapshot, [signer]))
    files.append(File(file_name(TIMESTAMP), signed_bytes(timestamp, [signer])))
    return files


def publisher_for(chain: Chain, keyring: Keyring, release: ReleaseName) -> tuple[str, str]:
    """Name and key of a publisher who may sign a release and whose key is in a keyring.

    Raises NotSigned where there is none.
    """
    path = release_path(release.tool_id, release.version)
    for role, delegation in publishers_of(chain.targets).items():
        if delegation.is_delegated_path(path) and (found := keyring.find(delegation.keyids)):
            return role, found[0]
    raise NotSigned(source=f"{release.tool_id} {release.version}")


def publishers_of(targets: Targets) -> dict[str, DelegatedRole]:
    """Who signs for whom: publishers by name, and HQ for what it requires."""
    roles = targets.delegations.roles if targets.delegations else None
    return {**(roles or {})}


def tools_of(delegation: DelegatedRole) -> tuple[str, ...]:
    """Patterns of the tool ids that a publisher may sign."""
    return tuple(path.partition("/")[0] for path in delegation.paths or ())


def may_require(targets: Targets, root: Root) -> bool:
    """Say whether the key that signs a root's timestamps alone may sign what HQ requires."""
    found = publishers_of(targets).get(REQUIREMENTS)
    return found is not None and found.keyids == root.roles[TIMESTAMP].keyids


def check_versions(chain: Chain, files: Sequence[File]) -> None:
    """Refuse files that do not follow what is there, one version on. Raises SignatureRefused."""
    for file in files:
        file.check_name()
        meta = chain.snapshot.meta.get(f"{file.role}.json")
        known = chain.root.version if file.role == ROOT else meta.version if meta else 0
        if file.version != known + 1:
            detail = f"version {file.version} does not follow {known}"
            raise SignatureRefused(source="the new metadata", what=file.role, detail=detail)


def _check_kept(known: Targets | None, fresh: Targets) -> None:
    """Refuse metadata in which what was signed once is another. Raises ReleaseConflict."""
    for path, target in (known.targets if known else {}).items():
        offered = fresh.targets.get(path)
        if offered is not None and offered.hashes != target.hashes:
            tool_id, _, version = path.removesuffix("/manifest.json").partition("/")
            raise ReleaseConflict(
                tool_id=tool_id,
                version=version,
                known=target.hashes.get("sha256"),
                offered=offered.hashes.get("sha256"),
            )


def _check_whole(known: Chain, chain: Chain, files: Sequence[File]) -> None:
    """Refuse a publisher with another key or list who lacks his list, or a bin that goes with it.

    Files may be dropped on their way. Raises NotSigned, SignatureRefused.
    """
    before, brought = publishers_of(known.targets), {file.role for file in files}
    for name, role in publishers_of(chain.targets).items():
        is_same = name in before and before[name].to_dict() == role.to_dict()
        if is_same and name not in brought:
            continue
        if chain.load(name, TARGETS) is None:
            raise NotSigned(source=f"publisher {name}")
        bins_held(chain, name)


def bins_held(chain: Chain, publisher: str) -> dict[str, Targets]:
    """Bins of a publisher in which something is signed, by role. Cost: each is read."""
    roles = [name.removesuffix(".json") for name in chain.snapshot.meta]
    own = [role for role in roles if role.rpartition("-")[0] == publisher]
    return {role: held for role in own if (held := chain.load(role, publisher))}


def check_next(
    known: Chain, root: bytes, read: ReadMetadata, files: Sequence[File], paths: Sequence[str]
) -> None:
    """Refuse files that a worker would refuse, or in which it would not find these paths.

    What workers do is done here before they can: over the files as if they were written. Raises
    SignatureRefused, NotSigned, ReleaseConflict where a release that is signed becomes another.
    """
    laid = dict(files)

    def overlaid(name: str, most: int) -> bytes | None:
        return laid[name] if name in laid else read(name, most)

    chain = open_chain(root, overlaid, "the new metadata")
    for file in files:
        if fresh := chain.load_any(file.role):
            _check_kept(known.load_any(file.role), fresh)
    _check_whole(known, chain, files)
    for path in paths:
        if chain.find(path) is None:
            raise NotSigned(source=path)


def check_first(files: Sequence[File]) -> None:
    """Refuse the first files of a place where a worker would.

    Raises SignatureRefused, NotSigned.
    """
    for file in files:
        file.check_name()
    laid = dict(files)
    root = laid.get(file_name(ROOT, 1))
    if root is None:
        raise NotSigned(source="the new metadata")
    chain = open_chain(root, lambda name, _most: laid.get(name), "the new metadata")
    for name in chain.snapshot.meta:
        chain.load_any(name.removesuffix(".json"))


def bins_of(publisher: str, keys: Iterable[Key], now: datetime) -> Targets:
    """A publisher's own metadata: it hands everything on to its bins."""
    known = {key.keyid: key for key in keys}
    bins = SuccinctRoles(list(known), 1, BIN_BITS, publisher)
    delegations = Delegations(known, succinct_roles=bins)
    return Targets(expires=now.replace(microsecond=0) + OFFLINE_LIFE, delegations=delegations)


def signed_file(role: str, signed: Signed, signers: Iterable[Signer]) -> File:
    """Metadata of a role under the name of their version, as ``signed_bytes``; no timestamp's."""
    return File(file_name(role, signed.version), signed_bytes(signed, signers))


def signed_bytes(signed: Signed, signers: Iterable[Signer]) -> bytes:
    """Metadata with the signatures of all signers. Raises KeyRefused where one cannot sign."""
    return more_signed(Metadata(signed), signers)


def more_signed(metadata: Metadata[Any], signers: Iterable[Signer]) -> bytes:
    """Metadata with the signatures of more signers. Raises KeyRefused where one cannot sign."""
    for signer in signers:
        try:
            metadata.sign(signer, append=True)
        except Exception as error:
            raise KeyRefused(name=signer.public_key.keyid[:8], detail=str(error)) from error
    return metadata.to_bytes()


def _next_targets(current: Targets | None, now: datetime) -> Targets:
    if current is None:
        return Targets(expires=now.replace(microsecond=0) + OFFLINE_LIFE)
    return next_version(current, now, OFFLINE_LIFE)


def next_version(current: S, now: datetime, life: timedelta) -> S:
    """Metadata to be changed: a copy, one version on and as young as a new one."""
    found = copy.deepcopy(current)
    found.version += 1
    found.expires = now.replace(microsecond=0) + life
    return found
