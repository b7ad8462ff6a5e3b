"""The walk from a pinned root to a signed path: which roles are asked, in which order, how far."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from bitstation.errors import MetadataExpired, SignatureRefused
from bitstation.trust.believed import Believed
from bitstation.trust.chain import SIGNED_AT, Chain, signed_time
from bitstation.trust.roles import (
    MAX_DELEGATIONS,
    MAX_ROOT_ROTATIONS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    file_name,
)
from bitstation.trust.signing import signed_bytes

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(days=30)


class Repository:
    """Metadata of any shape, all signed by one key; what it gave is in ``asked``."""

    def __init__(self) -> None:
        self.signer = CryptoSigner.generate_ed25519()
        self.root = Root(expires=LATER)
        for role in (ROOT, TIMESTAMP, SNAPSHOT, TARGETS):
            self.root.add_key(self.signer.public_key, role)
        self.lists = {TARGETS: Targets(expires=LATER)}
        self.snapshot, self.timestamp = Snapshot(expires=LATER), Timestamp(expires=LATER)
        self.timestamp.unrecognized_fields[SIGNED_AT] = NOW.isoformat()
        self.signers: dict[str, CryptoSigner] = {}
        self.asked: list[str] = []
        self.first = self.signed(ROOT, self.root)

    def signed(self, role: str, signed: Signed) -> bytes:
        return signed_bytes(signed, [self.signers.get(role, self.signer)])

    def delegate(
        self, parent: str, role: str, *, ends: bool = False, signer: CryptoSigner | None = None
    ) -> Targets:
        """``parent`` lets ``role`` sign everything; who signs first in order is asked first."""
        delegator = self.lists[parent]
        if delegator.delegations is None:
            delegator.delegations = Delegations({}, roles={})
        assert delegator.delegations.roles is not None
        delegator.delegations.roles[role] = DelegatedRole(role, [], 1, ends, paths=["*"])
        delegator.add_key((signer or self.signer).public_key, role)
        return self.lists.setdefault(role, Targets(expires=LATER))

    def files(self) -> dict[str, bytes]:
        for role in self.lists:
            self.snapshot.meta[f"{role}.json"] = MetaFile(self.lists[role].version)
        self.timestamp.snapshot_meta = MetaFile(self.snapshot.version)
        every: dict[str, Any] = {ROOT: self.root, SNAPSHOT: self.snapshot, **self.lists}
        found = {file_name(role, each.version): self.signed(role, each)
                 for role, each in every.items()}  # fmt: skip
        return {**found, file_name(TIMESTAMP): self.signed(TIMESTAMP, self.timestamp)}

    def chain(self, believed: Believed | None = None, now: datetime = NOW) -> Chain:
        files = self.files()

        def read(name: str, _max: int) -> bytes | None:
            self.asked.append(name)
            return files.get(name)

        return Chain(believed or Believed(self.first), read, now=now, name="here")


@pytest.fixture
def repository() -> Repository:
    return Repository()


def put(targets: Targets, path: str) -> None:
    targets.targets[path] = TargetFile.from_data(path, path.encode(), ["sha256"])


def lists_asked(repository: Repository) -> list[str]:
    """Roles below the list of publishers, in the order in which they were asked for."""
    names = [name.removesuffix(".json").partition(".")[2] for name in repository.asked]
    return [name for name in names if name not in (ROOT, SNAPSHOT, TARGETS, "")]


# --- the four roles -------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", ["find", "load", "load_any"])
def test_whatever_is_asked_first_looks_what_is_new(repository: Repository, ask: str) -> None:
    repository.delegate(TARGETS, "acme")
    chain = repository.chain()
    asks = {
        "find": lambda: chain.find("a"),
        "load": lambda: chain.load("acme", TARGETS),
        "load_any": lambda: chain.load_any("acme"),
    }
    asks[ask]()
    assert chain.timestamp.version == 1
    before = list(repository.asked)
    asks[ask]()
    assert repository.asked == before


def test_what_was_learnt_is_what_was_read(repository: Repository) -> None:
    repository.delegate(TARGETS, "acme")
    chain = repository.chain()
    chain.find("a")
    files = repository.files()
    assert chain.believed == Believed(
        files["1.root.json"],
        files["timestamp.json"],
        files["1.snapshot.json"],
        {TARGETS: files["1.targets.json"], "acme": files["1.acme.json"]},
    )


def test_a_newer_root_is_kept(repository: Repository) -> None:
    repository.root.version = 2
    chain = repository.chain()
    chain.refresh()
    assert chain.root.version == 2
    assert chain.believed.root == repository.files()["2.root.json"]


def test_what_is_known_is_not_fetched_again(repository: Repository) -> None:
    repository.delegate(TARGETS, "acme")
    first = repository.chain()
    first.find("a")
    repository.asked.clear()
    again = repository.chain(first.believed)
    again.find("a")
    assert repository.asked == ["2.root.json", "timestamp.json"]
    assert again.believed == first.believed


def test_a_timestamp_of_a_known_version_is_not_taken_for_the_known_one(
    repository: Repository,
) -> None:
    """Whoever signs two of one version has lost his count: the first one stands."""
    first = repository.chain()
    first.refresh()
    repository.timestamp.expires += timedelta(days=30)
    again = repository.chain(first.believed)
    again.refresh()
    assert again.believed == first.believed
    assert again.timestamp.expires == LATER


def test_a_timestamp_of_a_known_version_must_be_signed(repository: Repository) -> None:
    first = repository.chain()
    first.refresh()
    repository.signers[TIMESTAMP] = CryptoSigner.generate_ed25519()
    with pytest.raises(SignatureRefused):
        repository.chain(first.believed).refresh()


def test_roots_without_end(repository: Repository) -> None:
    files = repository.files()

    def read(name: str, _max: int) -> bytes | None:
        number, _, rest = name.partition(".")
        if rest != "root.json":
            return files.get(name)
        repository.root.version = int(number)
        return repository.signed(ROOT, repository.root)

    chain = Chain(Believed(repository.first), read, now=NOW)
    with pytest.raises(SignatureRefused, match="more than"):
        chain.refresh()
    assert chain.root.version == MAX_ROOT_ROTATIONS + 1


def test_a_list_of_publishers_that_no_snapshot_names(repository: Repository) -> None:
    files = repository.files()
    del repository.snapshot.meta["targets.json"]
    repository.snapshot.meta["other.json"] = MetaFile(1)
    files["1.snapshot.json"] = repository.signed(SNAPSHOT, repository.snapshot)
    chain = Chain(Believed(repository.first), lambda name, _max: files.get(name), now=NOW)
    with pytest.raises(SignatureRefused, match="no snapshot names it"):
        chain.refresh()


@pytest.mark.parametrize("name", ["1.snapshot.json", "1.targets.json"])
def test_metadata_that_are_missing_are_named(repository: Repository, name: str) -> None:
    files = repository.files()
    del files[name]
    chain = Chain(Believed(repository.first), lambda name, _max: files.get(name), now=NOW)
    with pytest.raises(SignatureRefused, match="version 1 is missing") as caught:
        chain.refresh()
    assert caught.value.fields["what"] == name.split(".")[1]


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [ROOT, TIMESTAMP, SNAPSHOT, TARGETS])
def test_what_has_expired_is_named(repository: Repository, role: str) -> None:
    tops: dict[str, Any] = {
        ROOT: repository.root,
        TIMESTAMP: repository.timestamp,
        SNAPSHOT: repository.snapshot,
        TARGETS: repository.lists[TARGETS],
    }
    tops[role].expires = NOW - timedelta(days=2)
    repository.root.version = 2
    with pytest.raises(MetadataExpired) as caught:
        repository.chain().refresh()
    assert caught.value.fields["what"] == (TIMESTAMP if role == ROOT else role)
    assert ("1.snapshot.json" in repository.asked) == (role in (SNAPSHOT, TARGETS))


def test_a_clock_may_be_a_day_fast(repository: Repository) -> None:
    repository.chain(now=LATER + timedelta(hours=23)).refresh()
    with pytest.raises(MetadataExpired):
        repository.chain(now=LATER + timedelta(hours=25)).refresh()


def test_a_known_timestamp_that_has_expired_ends_it_at_once(repository: Repository) -> None:
    repository.timestamp.expires = NOW
    first = repository.chain()
    first.refresh()
    with pytest.raises(MetadataExpired) as caught:
        repository.chain(first.believed, now=NOW + timedelta(hours=25)).refresh()
    assert caught.value.fields["what"] == TIMESTAMP
    assert repository.asked.count("1.snapshot.json") == 1


def test_a_slow_clock_does_not_revive_what_has_expired(repository: Repository) -> None:
    """The timestamp says when it was signed, and by then the list had expired."""
    repository.lists[TARGETS].expires = NOW - timedelta(days=2)
    with pytest.raises(MetadataExpired):
        repository.chain(now=NOW - timedelta(days=1000)).refresh()


def test_a_slow_clock_is_told_the_time_by_what_was_seen_before(repository: Repository) -> None:
    """A source that shows an old timestamp of the same version says nothing of the time."""
    first = repository.chain()
    first.refresh()
    repository.lists[TARGETS].expires = NOW - timedelta(days=2)
    repository.lists[TARGETS].version = repository.snapshot.version = 2
    del repository.timestamp.unrecognized_fields[SIGNED_AT]
    repository.timestamp.version = 2
    with pytest.raises(MetadataExpired):
        repository.chain(first.believed, now=NOW - timedelta(days=1000)).refresh()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NOW.isoformat(), NOW),
        (NOW.replace(tzinfo=None).isoformat(), None),
        ("yesterday", None),
        (7, None),
        (None, None),
    ],
)
def test_when_a_timestamp_was_signed(text: object, expected: datetime | None) -> None:
    timestamp = Timestamp(expires=LATER)
    timestamp.unrecognized_fields[SIGNED_AT] = text
    assert signed_time(timestamp) == expected


# --- delegations ----------------------------------------------------------------------------------


def test_whoever_is_named_first_is_asked_first_and_depth_before_breadth(
    repository: Repository,
) -> None:
    for parent, role in ((TARGETS, "a"), (TARGETS, "b"), ("a", "c"), ("a", "d")):
        repository.delegate(parent, role)
    assert repository.chain().find("x") is None
    assert lists_asked(repository) == ["a", "c", "d", "b"]


def test_the_first_who_signed_it_is_believed(repository: Repository) -> None:
    for role in ("a", "b"):
        put(repository.delegate(TARGETS, role), "x")
    found = repository.chain().find("x")
    assert found is not None
    assert found[1] == "a"
    assert lists_asked(repository) == ["a"]


def test_after_a_role_that_ends_the_search_only_its_own_are_asked(repository: Repository) -> None:
    repository.delegate(TARGETS, "a")
    repository.delegate(TARGETS, "b")
    repository.delegate("a", "c", ends=True)
    repository.delegate("a", "d")
    repository.delegate("c", "e")
    put(repository.lists["b"], "x")
    assert repository.chain().find("x") is None
    assert lists_asked(repository) == ["a", "c", "e"]


def test_a_search_in_a_circle_ends(repository: Repository) -> None:
    repository.delegate(TARGETS, "a")
    repository.delegate("a", "b")
    repository.delegate("b", "a")
    put(repository.delegate("b", "c"), "x")
    assert repository.chain().find("x") is not None
    assert lists_asked(repository) == ["a", "b", "c"]


def test_a_search_without_end_ends(repository: Repository) -> None:
    """The list of publishers counts, too."""
    for number in range(MAX_DELEGATIONS + 10):
        repository.delegate(TARGETS, f"role{number:02}")
    put(repository.lists[f"role{MAX_DELEGATIONS - 1:02}"], "near")
    put(repository.lists[f"role{MAX_DELEGATIONS:02}"], "far")
    chain = repository.chain()
    assert chain.find("near") is not None
    assert chain.find("far") is None
    assert len(lists_asked(repository)) == MAX_DELEGATIONS


def test_a_role_that_signed_nothing_yet_is_passed_over(repository: Repository) -> None:
    repository.delegate(TARGETS, "a")
    del repository.lists["a"]
    put(repository.delegate(TARGETS, "b"), "x")
    chain = repository.chain()
    assert chain.find("x") is not None
    assert chain.load("a", TARGETS) is None
    assert lists_asked(repository) == ["b"]


def test_a_role_is_held_to_the_keys_of_whoever_delegates_now(repository: Repository) -> None:
    """Of two who delegate to it one names keys that did not sign: his word is not kept."""
    for role in ("a", "b"):
        repository.delegate(TARGETS, role)
    repository.delegate("a", "c")
    repository.delegate("b", "c", signer=CryptoSigner.generate_ed25519())
    chain = repository.chain()
    assert chain.load("a", TARGETS)
    assert chain.load("b", TARGETS)
    assert chain.load("c", "a") is not None
    with pytest.raises(SignatureRefused):
        chain.load("c", "b")


def test_a_bin_is_its_publisher_s(repository: Repository) -> None:
    repository.delegate(TARGETS, "acme")
    repository.delegate("acme", "acme-07")
    chain = repository.chain()
    assert chain.load_any("acme") is repository_list(chain, "acme", TARGETS)
    assert chain.load_any("acme-07") is repository_list(chain, "acme-07", "acme")
    for nobody in (ROOT, TIMESTAMP, SNAPSHOT, TARGETS, "bolt", "bolt-07"):
        assert chain.load_any(nobody) is None


def repository_list(chain: Chain, role: str, delegator: str) -> Targets:
    found = chain.load(role, delegator)
    assert found is not None
    return found
