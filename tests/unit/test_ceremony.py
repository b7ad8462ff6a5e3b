"""The first keys of a place: who may hold them, and what a worker believes of what they sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tuf.api.metadata import Metadata

from bitstation.errors import KeyRefused
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.trust.believed import Believed
from bitstation.trust.ceremony import HQ_ROSTER, Roster, first_files, make_keys
from bitstation.trust.chain import Chain, signed_time
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import (
    OFFLINE_LIFE,
    ONLINE_ROLES,
    OWNER_ROLES,
    REQUIREMENTS,
    ROOT,
    TARGETS,
    release_path,
    requirement_path,
)
from bitstation.trust.signing import File, publishers_of

NOW = datetime.now(UTC)
ROSTER = Roster(("ana", "ben", "eva"), 2, "acme", "acme-key", "hq-online", ("acme-*", "nut"))


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys", lambda name: f"secret of {name}", QuickDisk())


@pytest.fixture
def files(keyring: Keyring) -> list[File]:
    make_keys(keyring, ROSTER)
    return first_files(keyring, ROSTER, NOW, timedelta(days=3))


def worker(files: list[File], now: datetime = NOW) -> Chain:
    """One who pinned the first root, and has read the rest."""
    laid = dict(files)
    chain = Chain(Believed(laid["1.root.json"]), lambda name, _most: laid.get(name), now=now)
    chain.refresh()
    return chain


def ids(keyring: Keyring, *names: str) -> list[str]:
    return [keyring.public(name).keyid for name in names]


# --- the roster -----------------------------------------------------------------------------------

BAD = {
    "nobody at all decides": {"threshold": 0},
    "one owner counts twice": {"owners": ("ana", "ana", "ben")},
    "all owners have to sign": {"threshold": 3},
    "more have to sign than there are": {"threshold": 4},
    "one owner alone": {"owners": ("ana",), "threshold": 1},
    "no owner": {"owners": (), "threshold": 1},
    "a publisher whose bins would be those of another": {"publisher": "acme-0"},
    "a publisher who is called as a role is": {"publisher": "snapshot"},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_a_roster_that_one_lost_key_could_end_is_refused(
    keyring: Keyring, change: dict[str, Any]
) -> None:
    bad = msgspec.structs.replace(ROSTER, **change)
    with pytest.raises(KeyRefused):
        make_keys(keyring, bad)
    assert keyring.names == []
    make_keys(keyring, ROSTER)
    with pytest.raises(KeyRefused):
        first_files(keyring, bad, NOW)


def test_rosters_that_outlive_one_lost_key(keyring: Keyring) -> None:
    for roster in (ROSTER, HQ_ROSTER, msgspec.structs.replace(ROSTER, threshold=1)):
        roster.check()


# --- its keys -------------------------------------------------------------------------------------


def test_keys_that_are_there_stay_and_the_others_are_made(keyring: Keyring) -> None:
    ben = keyring.make("ben")
    make_keys(keyring, ROSTER)
    assert sorted(keyring.names) == ["acme-key", "ana", "ben", "eva", "hq-online"]
    assert keyring.public("ben") == ben


def test_each_key_is_sealed_with_its_own_passphrase(keyring: Keyring) -> None:
    make_keys(keyring, ROSTER, {name: f"secret of {name}" for name in ("ana", "acme-key")})
    assert [name for name in keyring.names if keyring.is_sealed(name)] == ["ana", "acme-key"]
    for name in keyring.names:
        keyring.signer(name).sign(b"")


# --- what they sign -------------------------------------------------------------------------------


def test_a_worker_believes_the_first_files(files: list[File]) -> None:
    chain = worker(files)
    assert [file.name for file in files] == [
        *("1.root.json", "1.targets.json", "1.acme.json", "1.requirements.json"),
        *("1.snapshot.json", "timestamp.json"),
    ]
    assert signed_time(chain.timestamp) == NOW.replace(microsecond=0)
    for role in ("acme", REQUIREMENTS):
        assert chain.load(role, TARGETS) is not None
    assert chain.find(release_path("acme-tool", "1.0.0")) is None


def test_how_long_they_hold(files: list[File]) -> None:
    chain, now = worker(files), NOW.replace(microsecond=0)
    assert chain.timestamp.expires == chain.snapshot.expires == now + timedelta(days=3)
    assert chain.root.expires == chain.targets.expires == now + OFFLINE_LIFE


def test_owners_sign_together_and_the_online_key_what_is_young(
    keyring: Keyring, files: list[File]
) -> None:
    root = worker(files).root
    for role in OWNER_ROLES:
        assert root.roles[role].threshold == 2
        assert root.roles[role].keyids == ids(keyring, *ROSTER.owners)
    for role in ONLINE_ROLES:
        assert root.roles[role].threshold == 1
        assert root.roles[role].keyids == ids(keyring, "hq-online")


def test_a_publisher_signs_his_tools_only_and_hq_what_it_requires(
    keyring: Keyring, files: list[File]
) -> None:
    publishers = publishers_of(worker(files).targets)
    assert set(publishers) == {"acme", REQUIREMENTS}
    acme, hq = publishers["acme"], publishers[REQUIREMENTS]
    assert acme.keyids == ids(keyring, "acme-key")
    assert hq.keyids == ids(keyring, "hq-online")
    for tool in ("acme-tool", "nut"):
        assert acme.is_delegated_path(release_path(tool, "1.0.0"))
        assert not hq.is_delegated_path(release_path(tool, "1.0.0"))
        assert hq.is_delegated_path(requirement_path(tool))
    assert not acme.is_delegated_path(release_path("bolt", "1.0.0"))
    assert not acme.is_delegated_path(requirement_path("acme-tool"))


def test_whose_key_is_elsewhere_has_still_to_sign(keyring: Keyring, tmp_path: Path) -> None:
    others = Keyring(tmp_path / "others", lambda _name: "", QuickDisk())
    for name in ("ana", "acme-key"):
        keyring.add(name, "", others.make(name))
    make_keys(keyring, ROSTER)
    signed = {
        file.role: set(Metadata[Any].from_bytes(file.data).signatures)
        for file in first_files(keyring, ROSTER, NOW)
    }
    assert signed[ROOT] == signed[TARGETS] == set(ids(keyring, "ben", "eva"))
    assert signed["acme"] == set()
    assert signed[REQUIREMENTS] == set(ids(keyring, "hq-online"))


def test_without_the_online_key_nothing_begins(keyring: Keyring) -> None:
    make_keys(keyring, ROSTER)
    keyring.forget("hq-online")
    with pytest.raises(KeyRefused):
        first_files(keyring, ROSTER, NOW)
