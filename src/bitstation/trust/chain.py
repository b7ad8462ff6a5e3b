"""From a pinned root to a signed manifest: what is fetched in which order, and what is believed.

python-tuf's rule keeper decides; this chooses what to feed it, and keeps the bytes it accepted.
Source: The Update Framework 1.0.33, section 5, "Detailed client workflow".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import msgspec
from tuf.api.exceptions import EqualVersionNumberError, ExpiredMetadataError, RepositoryError
from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from bitstation.core.canonical import JsonFault, parse_json
from bitstation.errors import MetadataExpired, NotSigned, SignatureRefused
from bitstation.trust.believed import Believed, ReadMetadata, version_in
from bitstation.trust.roles import (
    MAX_DELEGATIONS,
    MAX_ROOT_ROTATIONS,
    ROOT,
    SLACK,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    file_name,
    max_bytes,
)

SIGNED_AT = "x-bitstation-signed-at"
"""Field of a timestamp: when it was signed. A clock that shows less is slow."""


class Chain:
    """What is believed now, and what a source adds to it.

    ``believed`` is worth keeping after every method, whether it raised or not: what was verified
    before a failure protects the next run from older metadata.

    Raises SignatureRefused, MetadataExpired, NotSigned where the source has no metadata at all,
    SourceError.
    """

    def __init__(
        self, believed: Believed, read: ReadMetadata, *, now: datetime | None = None, name: str = ""
    ) -> None:
        self.believed = believed
        self._read = read
        self._name = name
        self._now = now or utc_now()
        self._is_fresh = False
        with self._rules(ROOT):
            self._trusted = TrustedMetadataSet(believed.root, EnvelopeType.METADATA)
            self._trusted.reference_time = self._now - SLACK

    def refresh(self) -> None:
        """Bring root, timestamp, snapshot and targets up to what the source has."""
        self._refresh_root()
        self._refresh_timestamp()
        self._refresh_snapshot()
        self._load_targets(TARGETS, ROOT)
        self._is_fresh = True

    def find(self, path: str) -> tuple[TargetFile, str] | None:
        """What is signed under a path, and the role that signed it; None where nothing is."""
        if not self._is_fresh:
            self.refresh()
        pending, visited = [(TARGETS, ROOT)], set[str]()
        while pending and len(visited) <= MAX_DELEGATIONS:
            role, delegator = pending.pop()
            if role in visited:
                continue
            if delegator != ROOT and f"{role}.json" not in self._trusted.snapshot.meta:
                # A bin in which nothing was signed yet.
                continue
            targets = self._load_targets(role, delegator)
            visited.add(role)
            if found := targets.targets.get(path):
                return found, role
            children = []
            for child, ends in _delegates(targets, path):
                children.append((child, role))
                if ends:
                    pending.clear()
                    break
            pending.extend(reversed(children))
        return None

    @property
    def root(self) -> Root:
        """The newest root."""
        return self._trusted.root

    @property
    def timestamp(self) -> Timestamp:
        """The newest timestamp, after ``refresh``."""
        return self._trusted.timestamp

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot, after ``refresh``."""
        return self._trusted.snapshot

    @property
    def targets(self) -> Targets:
        """The list of publishers, after ``refresh``."""
        return self._trusted.targets

    def load(self, role: str, delegator: str) -> Targets | None:
        """Metadata of a role that another delegates to; None where it signed nothing yet."""
        if not self._is_fresh:
            self.refresh()
        if f"{role}.json" not in self._trusted.snapshot.meta:
            return None
        return self._load_targets(role, delegator)

    def load_any(self, role: str) -> Targets | None:
        """The same of any role below the top ones: a bin is its publisher's; None of those."""
        if role in (ROOT, TIMESTAMP, SNAPSHOT, TARGETS):
            return None
        publisher, _, _number = role.partition("-")
        if publisher == role:
            return self.load(role, TARGETS)
        return self.load(role, publisher) if self.load(publisher, TARGETS) else None

    # --- the four roles -------------------------------------------------------------------------

    def _refresh_root(self) -> None:
        for _ in range(MAX_ROOT_ROTATIONS):
            data = self._fetch(ROOT, self._trusted.root.version + 1)
            if data is None:
                return
            with self._rules(ROOT):
                self._trusted.update_root(data)
            self._keep(root=data)
        raise SignatureRefused(
            source=self._name, what=ROOT, detail=f"more than {MAX_ROOT_ROTATIONS} new ones"
        )

    def _refresh_timestamp(self) -> None:
        """An earlier one counts against an older one, even where it is expired by now."""
        with suppress(RepositoryError, DeserializationError, JsonFault):
            self._trusted.update_timestamp(_checked(self.believed.timestamp))
        self._check_time()
        data = self._read(file_name(TIMESTAMP), max_bytes(TIMESTAMP))
        if data is None:
            raise NotSigned(source=self._name)
        with self._rules(TIMESTAMP), suppress(EqualVersionNumberError):
            self._trusted.update_timestamp(_checked(data))
        if self._trusted.timestamp.version != version_in(self.believed.timestamp):
            self._keep(timestamp=data)
        self._check_time()
        with self._rules(TIMESTAMP):
            # The snapshot would tell, too, but only when it has been fetched.
            self._trusted._check_final_timestamp()

    def _refresh_snapshot(self) -> None:
        version = self._trusted.timestamp.snapshot_meta.version
        with suppress(RepositoryError, DeserializationError, JsonFault):
            self._trusted.update_snapshot(_checked(self.believed.snapshot), trusted=True)
            return
        data = self._required(SNAPSHOT, version)
        with self._rules(SNAPSHOT):
            self._trusted.update_snapshot(data)
        self._keep(snapshot=data)

    def _load_targets(self, role: str, delegator: str) -> Targets:
        known = self._trusted.get(role)
        if isinstance(known, Targets) and self._trusted.contains(role, delegator):
            return known
        if kept := self.believed.targets.get(role):
            with suppress(RepositoryError, DeserializationError, JsonFault):
                return self._trusted.update_delegated_targets(_checked(kept), role, delegator)
        meta = self._trusted.snapshot.meta.get(f"{role}.json")
        if meta is None:
            raise SignatureRefused(source=self._name, what=role, detail="no snapshot names it")
        data = self._required(role, meta.version)
        with self._rules(role):
            found = self._trusted.update_delegated_targets(data, role, delegator)
        self._keep(targets={**self.believed.targets, role: data})
        return found

    # --- bytes ----------------------------------------------------------------------------------

    def _fetch(self, role: str, version: int) -> bytes | None:
        with self._rules(role):
            # Whoever delegates names the role.
            name = file_name(role, version)
        data = self._read(name, max_bytes(role))
        if data is None:
            return None
        with self._rules(role):
            return _checked(data)

    def _required(self, role: str, version: int) -> bytes:
        data = self._fetch(role, version)
        if data is None:
            raise SignatureRefused(
                source=self._name, what=role, detail=f"version {version} is missing"
            )
        return data

    def _keep(self, **changes: object) -> None:
        self.believed = msgspec.structs.replace(self.believed, **changes)

    def _check_time(self) -> None:
        """A clock that is slower than a signed time is put forward: it must not revive the dead."""
        trusted = self._trusted
        if TIMESTAMP in trusted and (signed_at := signed_time(trusted.timestamp)):
            trusted.reference_time = max(trusted.reference_time, signed_at - SLACK)

    @contextmanager
    def _rules(self, role: str) -> Iterator[None]:
        """Raise what the rule keeper finds in our words."""
        try:
            yield
        except ExpiredMetadataError as error:
            raise MetadataExpired(
                source=self._name, what=role, detail=str(error), now=self._now.isoformat()[:16]
            ) from error
        except (RepositoryError, DeserializationError, JsonFault) as error:
            raise SignatureRefused(source=self._name, what=role, detail=str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            # Metadata whose shape its parser did not foresee.
            detail = f"{type(error).__name__}: {error}"
            raise SignatureRefused(source=self._name, what=role, detail=detail) from error


def utc_now() -> datetime:
    """What this machine's clock shows."""
    return datetime.now(UTC)


def check_root(data: bytes, *, name: str = "") -> Root:
    """A root that is signed by itself: what may be pinned. Raises SignatureRefused."""
    chain = Chain(Believed(data), lambda _name, _max: None, name=name)
    return chain.root


def signed_time(timestamp: Timestamp) -> datetime | None:
    """When a timestamp was signed; None where it does not say so."""
    try:
        found = datetime.fromisoformat(str(timestamp.unrecognized_fields.get(SIGNED_AT)))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _checked(data: bytes) -> bytes:
    """The bytes, when no two readers could read them differently. Raises JsonFault."""
    parse_json(data)
    return data


def _delegates(targets: Targets, path: str) -> Iterator[tuple[str, bool]]:
    """Roles that may sign a path, the most trusted first, and whether none after it may."""
    if targets.delegations is not None:
        yield from targets.delegations.get_roles_for_target(path)
