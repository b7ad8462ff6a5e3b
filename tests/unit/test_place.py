"""A place's folder: what it shows, whose files it takes in, and when it signs anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import TargetFile, Targets, Timestamp

from bitstation.codec.zstd import decompress
from bitstation.errors import KeyRefused, NotSigned, ReleaseConflict, SignatureRefused
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.testing.signed import ONLINE_KEY, PUBLISHER_KEY, SignedShelf
from bitstation.trust.ceremony import HQ_ROSTER, Roster
from bitstation.trust.chain import SIGNED_AT, Chain
from bitstation.trust.changes import change_root, replace_key
from bitstation.trust.draft import Draft
from bitstation.trust.keyring import Keyring
from bitstation.trust.place import Place
from bitstation.trust.roles import (
    ONLINE_LIFE,
    ONLINE_ROLES,
    OWNER_ROLES,
    RENEWED_AFTER,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    file_name,
    release_path,
    requirement_path,
)
from bitstation.trust.signing import File, ReleaseName

OWNERS = ("ana", "ben", "eva")
ROSTER = Roster(OWNERS, 2, HQ_ROSTER.publisher, PUBLISHER_KEY, ONLINE_KEY)
FIRST, SECOND = (make_release({"a": version.encode()}, version) for version in ("1.0.0", "1.1.0"))
SECOND_MOMENT = timedelta(seconds=1)


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    made = SignedShelf(tmp_path / "shelf", ROSTER)
    made.publish(FIRST)
    made.keyring.make("new")
    return made


def named(release: Release, data: bytes = b"") -> ReleaseName:
    return ReleaseName(TOOL_ID, release.version, data or release.manifest.encode())


def no_key(_name: str) -> str:
    return ""


def new_place(folder: Path, keyring: Keyring) -> Place:
    return Place(folder / "metadata", keyring, ONLINE_LIFE, disk=QuickDisk())


def unchanged(shelf: SignedShelf, error: type[Exception], act: Callable[[], object]) -> str:
    """Words of the error with which something is refused; nothing of it shows then."""
    before = shelf.files()
    with pytest.raises(error) as caught:
        act()
    assert shelf.files() == before
    return str(caught.value)


def part(shelf: SignedShelf, *names: str) -> Keyring:
    """Let keys lie on another machine only."""
    folder = shelf.place.folder.parent / "-".join(names)
    folder.mkdir()
    for name in names:
        (shelf.keyring.folder / f"{name}.pem").rename(folder / f"{name}.pem")
    return Keyring(folder, no_key, QuickDisk())


def online_anew(chain: Chain, keyring: Keyring, now: datetime) -> list[File]:
    edit = replace_key(ONLINE_ROLES, keyring.public(ONLINE_KEY).keyid, keyring.public("new"))
    return change_root(chain, keyring, edit, now)


def owner_anew(chain: Chain, keyring: Keyring, now: datetime) -> list[File]:
    return change_root(chain, keyring, replace_key(OWNER_ROLES, None, keyring.public("new")), now)


# --- the beginning --------------------------------------------------------------------------------


def test_a_place_begins_with_its_keys_and_what_they_sign(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys", no_key, QuickDisk())
    place = new_place(tmp_path, keyring)
    assert not place.exists
    with pytest.raises(NotSigned):
        place.first_root()
    assert place.found(ROSTER) is None
    assert place.exists
    assert sorted(keyring.names) == sorted((*OWNERS, PUBLISHER_KEY, ONLINE_KEY))
    place.sign(named(FIRST))
    assert place.chain().find(release_path(TOOL_ID, "1.0.0")) is not None


def test_where_an_owner_is_elsewhere_it_begins_when_he_has_signed(tmp_path: Path) -> None:
    own = Keyring(tmp_path / "own", no_key, QuickDisk())
    keyring = Keyring(tmp_path / "keys", no_key, QuickDisk())
    for name in ("ana", "ben"):
        keyring.add(name, "", own.make(name))
    place = new_place(tmp_path, keyring)
    draft = place.found(ROSTER)
    assert draft is not None
    assert not place.exists
    assert place.is_of(draft)
    with pytest.raises((SignatureRefused, NotSigned)):
        place.take_in(draft)
    assert not place.folder.exists()
    place.take_in(draft.sign(own))
    assert place.exists
    assert place.chain().root.version == 1


def test_that_owners_took_their_time_leaves_the_first_metadata_young(tmp_path: Path) -> None:
    shelf = SignedShelf(tmp_path, ROSTER)
    draft = Draft(first_of(shelf))
    shutil.rmtree(shelf.place.folder)
    shelf.moment += timedelta(days=30)
    shelf.place.take_in(draft)
    assert shelf.loaded(TIMESTAMP).signed.expires == shelf.moment + ONLINE_LIFE


def first_of(shelf: SignedShelf) -> tuple[File, ...]:
    names = [file_name(role, 1) for role in (ROOT, TARGETS, "hq", "requirements", SNAPSHOT)]
    files = shelf.files()
    return tuple(File(name, files[name]) for name in (*names, file_name(TIMESTAMP)))


def test_what_another_place_shows_is_shown_here(shelf: SignedShelf, tmp_path: Path) -> None:
    (shelf.place.folder / "letter.json").write_bytes(b"{}")
    disk = FaultyDisk()
    other = Place(tmp_path / "other", shelf.keyring, ONLINE_LIFE, disk=disk)
    other.begin_as(shelf.place)
    assert other.chain().find(release_path(TOOL_ID, "1.0.0")) is not None
    names = {path.name for path in shelf.place.folder.iterdir()} - {"letter.json"}
    assert {path.name for path in other.folder.iterdir()} == names
    assert disk.calls[-1].split()[-1] in ("metadata", "other", "timestamp.json")


def test_without_a_disk_it_is_written_too(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys", no_key)
    Place(tmp_path / "metadata", keyring, ONLINE_LIFE).found()
    assert Place(tmp_path / "metadata", keyring, ONLINE_LIFE).exists


# --- what is there for workers --------------------------------------------------------------------


def test_metadata_alone_are_read(shelf: SignedShelf) -> None:
    (shelf.place.folder / "letter.json").write_bytes(b"{}")
    for name in ("letter.json", "../keys/keys.json", "", ".", "1.root"):
        assert shelf.place.read(name, 100) is None
    assert shelf.place.read("1.root.json", 512_000) == shelf.files()["1.root.json"]
    assert shelf.place.read("2.root.json", 512_000) is None
    with pytest.raises(SignatureRefused):
        shelf.place.read("1.root.json", 10)


def test_who_joins_pins_the_newest_root(shelf: SignedShelf) -> None:
    assert shelf.place.first_root() == shelf.files()["1.root.json"]
    shelf.place.change(owner_anew)
    assert shelf.place.first_root() == shelf.files()["2.root.json"]


def test_large_lists_lie_packed_beside(shelf: SignedShelf) -> None:
    for name, data in shelf.files().items():
        packed = shelf.place.folder / f"{name}.zst"
        if name in ("1.root.json", "timestamp.json"):
            assert not packed.exists()
        else:
            assert decompress(packed.read_bytes(), len(data)) == data


# --- releases -------------------------------------------------------------------------------------


def test_a_release_is_signed_once(shelf: SignedShelf) -> None:
    before = shelf.files()
    shelf.place.sign(named(FIRST))
    assert shelf.files() == before
    part(shelf, PUBLISHER_KEY)
    shelf.place.sign(named(FIRST))
    shelf.place.check(named(FIRST))
    assert shelf.files() == before


def test_another_of_the_same_version_is_refused(shelf: SignedShelf) -> None:
    for act in (shelf.place.check, shelf.place.sign):
        unchanged(shelf, ReleaseConflict, lambda act=act: act(named(FIRST, b"other")))  # type: ignore[misc]


def test_what_could_not_be_signed_is_seen_before(shelf: SignedShelf) -> None:
    shelf.place.check(named(SECOND))
    assert shelf.place.chain().find(release_path(TOOL_ID, "1.1.0")) is None
    part(shelf, PUBLISHER_KEY)
    for act in (shelf.place.check, shelf.place.sign):
        unchanged(shelf, NotSigned, lambda act=act: act(named(SECOND)))  # type: ignore[misc]


def test_what_hq_requires_is_signed(shelf: SignedShelf) -> None:
    shelf.require(FIRST)
    found = shelf.place.chain().find(requirement_path(TOOL_ID))
    assert found is not None
    assert found[0].custom == {"stable": ["1.0.0", FIRST.manifest.manifest_hash]}


def test_without_the_online_key_nothing_is_signed(shelf: SignedShelf) -> None:
    part(shelf, ONLINE_KEY)
    for act in (lambda: shelf.require(FIRST), lambda: shelf.publish(SECOND)):
        assert "timestamps" in unchanged(shelf, KeyRefused, act)


def test_a_key_that_does_not_open_is_seen_before(shelf: SignedShelf) -> None:
    for name in (PUBLISHER_KEY, ONLINE_KEY):
        path = shelf.keyring.folder / f"{name}.pem"
        data = path.read_bytes()
        path.write_bytes(b"ENCRYPTED")
        for act in (shelf.place.check, shelf.place.sign):
            unchanged(shelf, KeyRefused, lambda act=act: act(named(SECOND)))  # type: ignore[misc]
        # What is signed needs no key.
        shelf.place.check(named(FIRST))
        path.write_bytes(data)
    part(shelf, ONLINE_KEY)
    unchanged(shelf, KeyRefused, lambda: shelf.place.check(named(SECOND)))


# --- what others signed ---------------------------------------------------------------------------


def test_what_others_signed_is_taken_in_where_it_follows(shelf: SignedShelf) -> None:
    role, path = shelf.bin_of(FIRST), release_path(TOOL_ID, "9.9.9")

    def more(targets: Targets) -> None:
        targets.targets[path] = TargetFile.from_data(path, b"9", ["sha256"])

    data = shelf.forge(role, more, [PUBLISHER_KEY])

    def skipping(targets: Targets) -> None:
        targets.version = 3

    late = File(f"3.{role}.json", shelf.forge(role, skipping, [PUBLISHER_KEY]))
    told = unchanged(shelf, SignatureRefused, lambda: shelf.place.accept([late]))
    assert "version 3 does not follow 1" in told
    file, lacking = File(f"2.{role}.json", data), release_path(TOOL_ID, "8.8.8")
    unchanged(shelf, NotSigned, lambda: shelf.place.accept([file], [lacking]))
    shelf.place.accept([file], [release_path(TOOL_ID, "1.0.0")])
    assert shelf.version(role) == 2


def test_what_too_few_signed_is_not_taken_in(shelf: SignedShelf) -> None:
    for role, keys in ((ROOT, ["ana"]), (TARGETS, ["ana"]), ("hq", [ONLINE_KEY])):
        data = shelf.forge(role, keys=keys)
        file = File(file_name(role, 2), data)
        unchanged(shelf, SignatureRefused, lambda file=file: shelf.place.accept([file]))  # type: ignore[misc]


# --- keys that change -----------------------------------------------------------------------------


def test_from_a_new_root_on_the_new_online_key_signs(shelf: SignedShelf) -> None:
    assert shelf.place.change(online_anew) is None
    keyid = shelf.keyring.public("new").keyid
    assert set(shelf.loaded(TIMESTAMP).signatures) == {keyid}
    shelf.keyring.forget(ONLINE_KEY)
    shelf.publish(SECOND)
    assert set(shelf.loaded(TIMESTAMP).signatures) == {keyid}


def test_a_change_that_skips_a_version_is_refused(shelf: SignedShelf) -> None:
    def skipping(chain: Chain, keyring: Keyring, _now: datetime) -> list[File]:
        def later(targets: Any) -> None:
            targets.version = 3

        return [File("3.targets.json", shelf.forge(TARGETS, later, OWNERS))]

    told = unchanged(shelf, SignatureRefused, lambda: shelf.place.change(skipping))
    assert "version 3 does not follow 1" in told


def waiting(shelf: SignedShelf) -> tuple[Draft, Keyring]:
    """A change that two owners have still to sign, and the keys of one of them."""
    ben = part(shelf, "ben")
    part(shelf, "eva")
    before = shelf.files()
    draft = shelf.place.change(owner_anew)
    assert draft is not None
    assert shelf.files() == before
    return draft, ben


def test_a_change_is_taken_in_once_enough_have_signed(shelf: SignedShelf) -> None:
    draft, ben = waiting(shelf)
    unchanged(shelf, SignatureRefused, lambda: shelf.place.take_in(draft))
    shelf.place.take_in(draft.sign(ben))
    assert shelf.place.chain().root.version == 2
    assert len(shelf.place.chain().root.roles[ROOT].keyids) == 4


def test_a_draft_of_another_place_is_not_taken_in(shelf: SignedShelf, tmp_path: Path) -> None:
    draft, ben = waiting(shelf)
    other = SignedShelf(tmp_path / "other", ROSTER)
    told = unchanged(other, SignatureRefused, lambda: other.place.take_in(draft.sign(ben)))
    assert "what it replaces is not the 1.root.json" in told
    with pytest.raises(SignatureRefused):
        other.place.check_draft(draft)


def test_an_owner_checks_a_draft_where_no_place_is(shelf: SignedShelf, tmp_path: Path) -> None:
    draft, ben = waiting(shelf)
    place = new_place(tmp_path / "ben", ben)
    place.check_draft(draft)
    root, targets = draft.files
    damaged = Draft((File(root.name, root.data.replace(b"2", b"3")), targets), draft.before)
    with pytest.raises(SignatureRefused):
        place.check_draft(damaged)
    unchanged(shelf, SignatureRefused, lambda: shelf.place.take_in(damaged))


def test_a_draft_is_taken_in_by_the_place_with_its_online_key_alone(
    shelf: SignedShelf, tmp_path: Path
) -> None:
    draft, ben = waiting(shelf)
    first = Draft(first_of(shelf))
    nowhere = new_place(tmp_path / "nowhere", shelf.keyring)
    owner = new_place(tmp_path / "ben", ben)
    mirror = Place(shelf.place.folder, ben, ONLINE_LIFE)
    places = {shelf.place: (True, False), nowhere: (False, True), owner: (False, False),
              mirror: (False, False)}  # fmt: skip
    for place, expected in places.items():
        assert (place.is_of(draft), place.is_of(first)) == expected


# --- signed anew ----------------------------------------------------------------------------------


def renewed(shelf: SignedShelf, after: timedelta) -> bool:
    """Whether the place signs anew at a moment, asked by another process than the last one."""
    now = shelf.moment + after
    place = Place(
        shelf.place.folder, shelf.keyring, ONLINE_LIFE, clock=lambda: now, disk=QuickDisk()
    )
    before = shelf.version(TIMESTAMP)
    signed = place.renew()
    assert shelf.version(TIMESTAMP) == before + signed
    # Asked at once again, it has nothing to do.
    assert not place.renew()
    return signed


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (timedelta(0), False),
        (RENEWED_AFTER - SECOND_MOMENT, False),
        (RENEWED_AFTER, True),
        # The clock went back: who knows how young it is.
        (-SECOND_MOMENT, True),
    ],
)
def test_it_signs_anew_once_a_day(shelf: SignedShelf, after: timedelta, expected: bool) -> None:
    assert renewed(shelf, after) is expected


@pytest.mark.parametrize("said", [None, "yesterday", "2026-01-01T00:00:00"])
def test_a_timestamp_that_does_not_say_when_is_signed_anew(
    shelf: SignedShelf, said: object
) -> None:
    def edit(timestamp: Timestamp) -> None:
        timestamp.unrecognized_fields[SIGNED_AT] = said

    shelf.put(TIMESTAMP, shelf.forge(TIMESTAMP, edit, [ONLINE_KEY]))
    assert renewed(shelf, timedelta(0))


def test_the_folder_is_not_read_each_time_that_somebody_asks(shelf: SignedShelf) -> None:
    assert not shelf.place.renew()
    folder = shelf.place.folder
    folder.rename(folder.with_name("away"))
    assert not shelf.place.renew()
    shelf.moment += RENEWED_AFTER
    with pytest.raises(NotSigned):
        shelf.place.renew()
    folder.with_name("away").rename(folder)
    assert shelf.place.renew()
