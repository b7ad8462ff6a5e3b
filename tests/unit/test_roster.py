"""Who signs what, as people are shown it: every role, by the names of its keys."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from tuf.api.metadata import Snapshot, Targets

from bitstation.testing.signed import ONLINE_KEY, OWNERS, PUBLISHER_KEY, SignedShelf
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
)
from bitstation.trust.roster import RoleRow, roles_of_key, roster_of, rows_of


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    return SignedShelf(tmp_path)


def shown(shelf: SignedShelf) -> list[RoleRow]:
    return roster_of(shelf.place.first_root(), shelf.place.read)


def without_publishers(targets: Targets) -> None:
    targets.delegations = None


def forget_the_publisher(shelf: SignedShelf) -> None:
    """Show a place that names a publisher who never signed anything."""

    def edit(snapshot: Snapshot) -> None:
        del snapshot.meta["hq.json"]

    shelf.put(SNAPSHOT, shelf.forge(SNAPSHOT, edit, [ONLINE_KEY]))
    shelf.point()


# --- of a place -----------------------------------------------------------------------------------


def test_every_role_is_shown_with_its_keys_and_how_long_it_holds(shelf: SignedShelf) -> None:
    long, short = shelf.moment + OFFLINE_LIFE, shelf.moment + ONLINE_LIFE
    assert shown(shelf) == [
        RoleRow(ROOT, 1, OWNERS, long),
        RoleRow(TARGETS, 1, OWNERS, long),
        RoleRow(SNAPSHOT, 1, (ONLINE_KEY,), short),
        RoleRow(TIMESTAMP, 1, (ONLINE_KEY,), short),
        RoleRow("hq", 1, (PUBLISHER_KEY,), long, ("*",)),
    ]
    assert all(row.expires and row.expires.tzinfo is UTC for row in shown(shelf))


def test_a_place_without_publishers(shelf: SignedShelf) -> None:
    shelf.show(TARGETS, shelf.forge(TARGETS, without_publishers, OWNERS))
    assert [row.role for row in shown(shelf)] == [ROOT, TARGETS, SNAPSHOT, TIMESTAMP]


def test_a_publisher_who_signed_nothing_yet(shelf: SignedShelf) -> None:
    forget_the_publisher(shelf)
    assert [row.role for row in shown(shelf)][:4] == [ROOT, TARGETS, SNAPSHOT, TIMESTAMP]


# --- as owners sign it ----------------------------------------------------------------------------


def test_owners_see_every_role_and_each_key_with_its_id(shelf: SignedShelf) -> None:
    """By the name alone another key could be taken for the one that is meant."""

    def keys(*names: str) -> tuple[str, ...]:
        return tuple(f"{name} ({shelf.keyring.public(name).keyid[:16]})" for name in names)

    chain, long = shelf.place.chain(), shelf.moment + OFFLINE_LIFE
    expiries = {"hq": shelf.moment, ROOT: shelf.moment}
    assert rows_of(chain.root, chain.targets, expiries) == [
        RoleRow(ROOT, 1, keys(*OWNERS), long),
        RoleRow(TARGETS, 1, keys(*OWNERS), long),
        RoleRow(TIMESTAMP, 1, keys(ONLINE_KEY)),
        RoleRow(SNAPSHOT, 1, keys(ONLINE_KEY)),
        RoleRow("hq", 1, keys(PUBLISHER_KEY), shelf.moment, ("*",)),
        RoleRow(REQUIREMENTS, 1, keys(ONLINE_KEY)),
    ]


def test_owners_see_that_there_are_no_publishers(shelf: SignedShelf) -> None:
    chain = shelf.place.chain()
    without_publishers(chain.targets)
    rows = rows_of(chain.root, chain.targets, {})
    assert [row.role for row in rows] == [ROOT, TARGETS, TIMESTAMP, SNAPSHOT]


# --- of a key -------------------------------------------------------------------------------------


def test_what_a_key_signs(shelf: SignedShelf) -> None:
    chain = shelf.place.chain()
    expected = {**dict.fromkeys(OWNERS, OWNER_ROLES), ONLINE_KEY: ONLINE_ROLES,
                PUBLISHER_KEY: ("hq",), "stranger": ()}  # fmt: skip
    shelf.keyring.make("stranger")
    for name, roles in expected.items():
        assert roles_of_key(chain, shelf.keyring.public(name).keyid) == roles
