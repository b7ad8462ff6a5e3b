"""Keys that come, go or are replaced: what is signed anew, and what no owner's key may change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Delegations, Metadata, Root, Snapshot, Targets

from bitstation.errors import KeyRefused, NotSigned, SignatureRefused
from bitstation.testing.releases import Release, make_release
from bitstation.testing.signed import ONLINE_KEY, SignedShelf
from bitstation.trust.ceremony import Roster
from bitstation.trust.chain import Chain
from bitstation.trust.changes import (
    admit,
    admit_publisher,
    change_publishers,
    change_root,
    dismiss,
    rekey_publisher,
    replace_key,
)
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import (
    ONLINE_ROLES,
    OWNER_ROLES,
    REQUIREMENTS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    release_path,
    requirement_path,
)
from bitstation.trust.signing import File, bins_of, publishers_of, signed_bytes, tools_of

OWNERS = ("ana", "ben", "eva")
ROSTER = Roster(OWNERS, 2, "acme", "acme-key", ONLINE_KEY, ("acme-*",))
TOOLS = ("bolt-*", "nut")


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    made = SignedShelf(tmp_path, ROSTER)
    for name in ("new", "bolt-key"):
        made.keyring.make(name)
    return made


Make = Callable[[Chain, Keyring, datetime], list[File]]


def release(tool_id: str, version: str = "1.0.0") -> Release:
    return make_release({"a": version.encode()}, version, tool_id=tool_id)


def changed(shelf: SignedShelf, make: Make) -> list[str]:
    """Make a change that every worker believes; names of the files that it signed."""
    names = list[str]()

    def noting(chain: Chain, keyring: Keyring, now: datetime) -> list[File]:
        files = make(chain, keyring, now)
        names.extend(file.name for file in files)
        return files

    assert shelf.place.change(noting) is None
    return names


def refused(shelf: SignedShelf, make: Make, reason: str) -> None:
    before = shelf.files()
    with pytest.raises(KeyRefused) as caught:
        shelf.place.change(make)
    assert reason in str(caught.value.fields["detail"])
    assert shelf.files() == before


def rooted(roles: tuple[str, ...], old: str | None, new: str | None) -> Make:
    """Change of the root by names of keys."""

    def make(chain: Chain, keyring: Keyring, now: datetime) -> list[File]:
        gone = keyring.public(old).keyid if old else None
        edit = replace_key(roles, gone, keyring.public(new) if new else None)
        return change_root(chain, keyring, edit, now)

    return make


def admitted(publisher: str, key: str, tools: tuple[str, ...] = TOOLS) -> Make:
    return lambda chain, keyring, now: admit_publisher(chain, keyring, publisher, key, tools, now)


def rekeyed(publisher: str, key: str) -> Make:
    return lambda chain, keyring, now: rekey_publisher(chain, keyring, publisher, key, now)


def dismissed(publisher: str) -> Make:
    return lambda chain, keyring, now: [change_publishers(chain, keyring, dismiss(publisher), now)]


def ids(shelf: SignedShelf, *names: str) -> list[str]:
    return [shelf.keyring.public(name).keyid for name in names]


def keys_of(shelf: SignedShelf, role: str) -> list[str]:
    """Keys that sign a role: one of the root's, or a publisher."""
    chain = shelf.place.chain()
    roles: dict[str, Any] = {**publishers_of(chain.targets), **chain.root.roles}
    return list(roles[role].keyids)


def signers_of(shelf: SignedShelf, role: str) -> set[str]:
    return set(shelf.loaded(role).signatures)


def unseen(shelf: SignedShelf) -> None:
    """Show a place whose publisher signed nothing yet."""

    def edit(snapshot: Snapshot) -> None:
        del snapshot.meta["acme.json"]

    shelf.put(SNAPSHOT, shelf.forge(SNAPSHOT, edit, [ONLINE_KEY]))
    shelf.point()


# --- the root -------------------------------------------------------------------------------------


def test_an_owner_who_comes_signs_root_and_publishers(shelf: SignedShelf) -> None:
    names = changed(shelf, rooted(OWNER_ROLES, None, "new"))
    assert names == ["2.root.json", "2.targets.json"]
    for role in OWNER_ROLES:
        assert keys_of(shelf, role) == ids(shelf, *OWNERS, "new")
        assert signers_of(shelf, role) == set(ids(shelf, *OWNERS, "new"))


def test_an_owner_who_is_replaced_still_signs_the_root_that_says_so(shelf: SignedShelf) -> None:
    changed(shelf, rooted(OWNER_ROLES, "ana", "new"))
    for role in OWNER_ROLES:
        assert keys_of(shelf, role) == ids(shelf, "ben", "eva", "new")
    assert signers_of(shelf, ROOT) == set(ids(shelf, *OWNERS, "new"))
    assert signers_of(shelf, TARGETS) == set(ids(shelf, "ben", "eva", "new"))
    assert ids(shelf, "ana")[0] not in shelf.place.chain().root.keys


def test_the_new_online_key_signs_all_that_the_former_did(shelf: SignedShelf) -> None:
    """What HQ required stays required, and the former key says nothing any more."""
    first, second = release("acme-tool"), release("acme-tool", "1.1.0")
    shelf.publish(first, second)
    shelf.require(first, "beta")
    (former,) = ids(shelf, ONLINE_KEY)
    names = changed(shelf, rooted(ONLINE_ROLES, ONLINE_KEY, "new"))
    assert names == ["2.root.json", "2.targets.json"]
    shelf.keyring.forget(ONLINE_KEY)
    for role in (*ONLINE_ROLES, REQUIREMENTS):
        assert keys_of(shelf, role) == ids(shelf, "new")
        assert signers_of(shelf, role) == set(ids(shelf, "new"))
    assert former not in Metadata[Any].to_bytes(shelf.loaded(TARGETS)).decode()
    shelf.require(second)
    found = shelf.place.chain().find(requirement_path("acme-tool"))
    assert found is not None
    said = {channel: row[0] for channel, row in found[0].custom.items()}
    assert said == {"beta": "1.0.0", "stable": "1.1.0"}


def test_whom_hq_left_behind_the_next_list_takes_along(shelf: SignedShelf) -> None:
    """A root that came by itself, with another online key: HQ can require nothing then."""
    shelf.require(release("acme-tool"))
    make = rooted(ONLINE_ROLES, ONLINE_KEY, "new")
    assert changed(shelf, lambda *given: make(*given)[:1]) == ["2.root.json"]
    assert keys_of(shelf, REQUIREMENTS) == ids(shelf, ONLINE_KEY)
    changed(shelf, admitted("bolt", "bolt-key"))
    assert keys_of(shelf, REQUIREMENTS) == ids(shelf, "new")
    shelf.require(release("acme-tool", "1.1.0"))
    assert signers_of(shelf, REQUIREMENTS) == set(ids(shelf, "new"))


def test_keys_that_stay_leave_the_publishers_as_they_are(shelf: SignedShelf) -> None:
    assert changed(shelf, rooted((), None, None)) == ["2.root.json"]
    assert shelf.version(TARGETS) == shelf.version(REQUIREMENTS) == 1


def test_no_owner_goes_who_is_the_only_one_in_reserve(shelf: SignedShelf) -> None:
    refused(shelf, rooted(OWNER_ROLES, "eva", None), "of 2 owners 2 would have to sign")
    changed(shelf, rooted(OWNER_ROLES, None, "new"))
    changed(shelf, rooted(OWNER_ROLES, "eva", None))
    assert keys_of(shelf, ROOT) == ids(shelf, "ana", "ben", "new")


def test_a_threshold_that_leaves_nobody_in_reserve_is_refused(shelf: SignedShelf) -> None:
    for role in OWNER_ROLES:
        for threshold in (3, 4):

            def edit(root: Root, role: str = role, threshold: int = threshold) -> None:
                root.roles[role].threshold = threshold

            make: Make = lambda chain, keyring, now, edit=edit: change_root(  # type: ignore[misc] # noqa: E731
                chain, keyring, edit, now
            )
            refused(shelf, make, "keep one in reserve")


def test_a_key_goes_where_it_is_and_comes_where_it_is_to(shelf: SignedShelf) -> None:
    """One key may hold some of the roles only."""
    root = shelf.place.chain().root
    ana, new = ids(shelf, "ana", "new")
    replace_key((ROOT, *ONLINE_ROLES), ana, shelf.keyring.public("new"))(root)
    assert [ana in root.roles[role].keyids for role in (ROOT, TARGETS)] == [False, True]
    for role in (ROOT, *ONLINE_ROLES):
        assert new in root.roles[role].keyids
    assert new not in root.roles[TARGETS].keyids


# --- publishers who come and go -------------------------------------------------------------------


def test_a_publisher_who_comes_signs_his_tools_at_once(shelf: SignedShelf) -> None:
    assert changed(shelf, admitted("bolt", "bolt-key")) == ["2.targets.json", "1.bolt.json"]
    found = publishers_of(shelf.place.chain().targets)["bolt"]
    assert (found.keyids, tools_of(found)) == (ids(shelf, "bolt-key"), TOOLS)
    shelf.publish(release("bolt-tool"))
    assert shelf.bin_of(release("bolt-tool")).startswith("bolt-")


def test_a_publisher_whose_key_is_elsewhere_has_still_to_sign(
    shelf: SignedShelf, tmp_path: Path
) -> None:
    other = Keyring(tmp_path / "other", lambda _name: "").make("theirs")
    shelf.keyring.add("theirs", "", other)
    draft = shelf.place.change(admitted("bolt", "theirs"))
    assert draft is not None
    assert [(wait.role, wait.keys) for wait in draft.waits()] == [("bolt", ("theirs",))]


@pytest.mark.parametrize("name", ["bolt-0", "", "Bolt", "root", REQUIREMENTS, "a" * 33])
def test_what_is_no_name_of_a_publisher_is_refused(shelf: SignedShelf, name: str) -> None:
    refused(shelf, admitted(name, "bolt-key"), "name of")
    with pytest.raises(KeyRefused):
        admit(name, shelf.keyring.public("bolt-key"), TOOLS)


def test_a_publisher_who_is_there_gets_other_tools(shelf: SignedShelf) -> None:
    assert changed(shelf, admitted("acme", "acme-key", TOOLS)) == ["2.targets.json"]
    assert tools_of(publishers_of(shelf.place.chain().targets)["acme"]) == TOOLS


def test_another_key_comes_by_another_way(shelf: SignedShelf) -> None:
    """What he signed would install nowhere any more: all of it has to be signed anew."""
    refused(shelf, admitted("acme", "bolt-key"), "there is, or was, a publisher of that name")
    unseen(shelf)
    refused(shelf, admitted("acme", "bolt-key"), "there is, or was, a publisher of that name")


def test_the_name_of_one_who_went_is_not_given_to_another(shelf: SignedShelf) -> None:
    changed(shelf, dismissed("acme"))
    refused(shelf, admitted("acme", "bolt-key"), "there is, or was, a publisher of that name")
    refused(shelf, admitted("acme", "acme-key"), "there is, or was, a publisher of that name")


def test_of_one_who_goes_nothing_installs_any_more(shelf: SignedShelf) -> None:
    shelf.publish(release("acme-tool"))
    assert changed(shelf, dismissed("acme")) == ["2.targets.json"]
    chain = shelf.place.chain()
    assert chain.find(release_path("acme-tool", "1.0.0")) is None
    assert set(publishers_of(chain.targets)) == {REQUIREMENTS}
    assert chain.targets.delegations is not None
    assert list(chain.targets.delegations.keys) == ids(shelf, ONLINE_KEY)


def test_nobody_goes_who_is_no_publisher(shelf: SignedShelf) -> None:
    for name in ("bolt", REQUIREMENTS, ROOT):
        refused(shelf, dismissed(name), "there is no such publisher")
    expires = shelf.moment
    bins = bins_of("acme", [shelf.keyring.public("acme-key")], expires)
    for targets in (
        Targets(expires=expires),
        Targets(expires=expires, delegations=Delegations({}, roles={})),
        # Whose list holds no roles but bins.
        bins,
    ):
        with pytest.raises(KeyRefused):
            dismiss("acme")(targets)


def test_owners_who_have_their_keys_elsewhere_sign_later(shelf: SignedShelf) -> None:
    for name in ("ben", "eva"):
        (shelf.keyring.folder / f"{name}.pem").unlink()
    before = shelf.files()
    draft = shelf.place.change(dismissed("acme"))
    assert draft is not None
    assert [(wait.role, wait.missing) for wait in draft.waits()] == [(TARGETS, 1)]
    assert shelf.files() == before


# --- a publisher's other key ----------------------------------------------------------------------


def test_all_that_a_publisher_signed_is_signed_with_his_new_key(shelf: SignedShelf) -> None:
    """And nothing of others, whose tools he could then have signed."""
    changed(shelf, admitted("bolt", "bolt-key"))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        shelf.publish(release("acme-tool", version), release("bolt-tool", version))
    of_bolt = {name: data for name, data in shelf.files().items() if "bolt" in name}
    bins = {
        role.removesuffix(".json"): meta.version + 1
        for role, meta in shelf.place.chain().snapshot.meta.items()
        if role.startswith("acme-")
    }
    assert bins
    names = changed(shelf, rekeyed("acme", "new"))
    assert names[:2] == ["3.targets.json", "2.acme.json"]
    assert sorted(names[2:]) == sorted(f"{version}.{role}.json" for role, version in bins.items())
    for role in ("acme", *bins):
        assert signers_of(shelf, role) == set(ids(shelf, "new"))
    assert keys_of(shelf, "acme") == ids(shelf, "new")
    assert tools_of(publishers_of(shelf.place.chain().targets)["acme"]) == ("acme-*",)
    assert {name: data for name, data in shelf.files().items() if "bolt" in name} == of_bolt
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        assert shelf.bin_of(release("acme-tool", version)) in bins


def test_the_former_key_of_a_publisher_is_named_nowhere(shelf: SignedShelf) -> None:
    (former,) = ids(shelf, "acme-key")
    changed(shelf, rekeyed("acme", "new"))
    for role in (TARGETS, "acme"):
        assert former not in Metadata[Any].to_bytes(shelf.loaded(role)).decode()


def test_one_who_signed_nothing_yet_hinders_no_other(shelf: SignedShelf) -> None:
    unseen(shelf)
    changed(shelf, admitted("bolt", "bolt-key"))
    # And what HQ requires is signed anew only where its key is another.
    assert shelf.version(REQUIREMENTS) == 1
    shelf.publish(release("nut"))


@pytest.mark.parametrize(
    ("make", "count"), [(rekeyed("acme", "new"), 3), (admitted("bolt", "bolt-key"), 2)]
)
def test_a_publisher_gets_no_key_without_all_that_it_signs(
    shelf: SignedShelf, make: Make, count: int
) -> None:
    shelf.publish(release("acme-tool"))
    before = shelf.files()
    for left_out in range(1, count):
        with pytest.raises((NotSigned, SignatureRefused)):
            shelf.place.change(without(left_out, make))
        assert shelf.files() == before
    with pytest.raises((NotSigned, SignatureRefused)):
        shelf.place.change(lambda *given: make(*given)[:1])
    assert len(changed(shelf, make)) == count


def without(left_out: int, make: Make) -> Make:
    def incomplete(chain: Chain, keyring: Keyring, now: datetime) -> list[File]:
        files = make(chain, keyring, now)
        del files[left_out]
        return files

    return incomplete


def test_a_publisher_signs_no_list_that_leaves_his_bins_behind(shelf: SignedShelf) -> None:
    """One that names other keys for them than those that signed them."""
    shelf.publish(release("acme-tool"))
    own = bins_of("acme", [shelf.keyring.public("new")], shelf.moment)
    own.version = 2
    data = signed_bytes(own, [shelf.keyring.signer("acme-key")])
    before = shelf.files()
    with pytest.raises(SignatureRefused):
        shelf.place.accept([File("2.acme.json", data)])
    assert shelf.files() == before


def test_a_publisher_who_signed_nothing_yet_gets_another_key(shelf: SignedShelf) -> None:
    unseen(shelf)
    assert changed(shelf, rekeyed("acme", "new")) == ["2.targets.json", "1.acme.json"]
    assert keys_of(shelf, "acme") == ids(shelf, "new")


def test_nobody_gets_a_key_who_is_no_publisher(shelf: SignedShelf) -> None:
    for name in ("bolt", REQUIREMENTS, ROOT):
        refused(shelf, rekeyed(name, "new"), "there is no such publisher")
    changed(shelf, dismissed("acme"))
    refused(shelf, rekeyed("acme", "new"), "there is no such publisher")
