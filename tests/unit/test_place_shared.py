"""A place that several processes sign in: one after the other, with the keys there are by then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from bitstation import host
from bitstation.core.wire import Requirement
from bitstation.errors import NotSigned, SignatureRefused, StoreLocked
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import ONLINE_KEY, PUBLISHER_KEY, SignedShelf
from bitstation.trust import place as place_module
from bitstation.trust.ceremony import HQ_ROSTER, first_files
from bitstation.trust.chain import Chain
from bitstation.trust.changes import change_root, replace_key
from bitstation.trust.draft import Draft
from bitstation.trust.keyring import Keyring
from bitstation.trust.place import Place
from bitstation.trust.roles import (
    OFFLINE_LIFE,
    ONLINE_LIFE,
    ONLINE_ROLES,
    RENEWED_AFTER,
    TIMESTAMP,
    file_name,
    release_path,
)
from bitstation.trust.signing import File, ReleaseName, bins_of, signed_bytes

FIRST = make_release({"a": b"1"}, "1.0.0")
SIGNING = """
import sys
from pathlib import Path
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.trust.keyring import Keyring
from bitstation.trust.place import Place
from bitstation.trust.roles import ONLINE_LIFE
from bitstation.trust.signing import ReleaseName

folder, number = Path(sys.argv[1]), sys.argv[2]
keyring = Keyring(folder / "keys", lambda _name: "", QuickDisk())
place = Place(folder / "metadata", keyring, ONLINE_LIFE, disk=QuickDisk())
print("ready", flush=True)
sys.stdin.readline()
for minor in range(int(sys.argv[3])):
    place.sign(ReleaseName("nut", f"{number}.{minor}.0", b"manifest"))
"""
ROUNDS = 8


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    made = SignedShelf(tmp_path)
    made.publish(FIRST)
    return made


def another(shelf: SignedShelf, disk: QuickDisk | None = None) -> Place:
    """The same place, as another process has it."""
    keyring = Keyring(shelf.keyring.folder, lambda _name: "", QuickDisk())
    return Place(
        shelf.place.folder,
        keyring,
        ONLINE_LIFE,
        clock=lambda: shelf.moment,
        disk=disk or QuickDisk(),
    )


def lock_of(shelf: SignedShelf) -> Path:
    return shelf.place.folder / "lock"


def online_anew(chain: Chain, keyring: Keyring, now: datetime) -> list[File]:
    edit = replace_key(ONLINE_ROLES, keyring.public(ONLINE_KEY).keyid, keyring.public("new"))
    return change_root(chain, keyring, edit, now)


def test_processes_that_sign_at_once_lose_nothing(shelf: SignedShelf, tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-c", SIGNING, str(tmp_path)]
    running = [
        subprocess.Popen(
            [*words, number, str(ROUNDS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for number in ("1", "2")
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ready")
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.communicate()[0] is None or process.returncode for process in running] == [0, 0]
    chain = shelf.place.chain()
    for number in ("1", "2"):
        for minor in range(ROUNDS):
            assert chain.find(release_path("nut", f"{number}.{minor}.0")) is not None
    assert not lock_of(shelf).exists()


# --- one at a time --------------------------------------------------------------------------------

REQUIRED = Requirement(TOOL_ID, "stable", "1.0.0", FIRST.manifest.manifest_hash)
ACTS: dict[str, Callable[[Place], object]] = {
    "sign": lambda place: place.sign(ReleaseName(TOOL_ID, "2.0.0", b"manifest")),
    "require": lambda place: place.require(REQUIRED),
    "accept": lambda place: place.accept([]),
    "change": lambda place: place.change(online_anew),
    "take in": lambda place: place.take_in(Draft((), (File("1.root.json", b""),))),
    "begin": lambda place: place.begin_as(place),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("holder", ["", "process 1"])
def test_while_one_signs_the_others_do_not(
    shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch, act: str, holder: str
) -> None:
    monkeypatch.setattr(place_module, "_LOCK_WAIT_S", 0.0)
    lock, before = host.FileLock(lock_of(shelf)), shelf.files()
    assert lock.acquire()
    lock.write_holder(holder)
    try:
        with pytest.raises(StoreLocked) as caught:
            ACTS[act](another(shelf))
    finally:
        lock.release()
    assert caught.value.fields["holder"] == (holder or "unknown")
    assert shelf.files() == before


def test_who_signs_keeps_the_others_out_until_all_is_written(
    shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place_module, "_LOCK_WAIT_S", 0.0)
    other, refused = another(shelf), list[str]()

    class Watching(QuickDisk):
        def write_file(self, path: Path, data: bytes, *, private: bool = False) -> None:
            super().write_file(path, data, private=private)
            with pytest.raises(StoreLocked) as caught:
                other.require(REQUIRED)
            assert caught.value.fields["holder"] == f"process {os.getpid()}"
            refused.append(path.name)

    another(shelf, Watching()).sign(ReleaseName(TOOL_ID, "2.0.0", b"manifest"))
    assert refused[-1] == file_name(TIMESTAMP)
    other.require(REQUIRED)
    assert shelf.place.chain().find(release_path(TOOL_ID, "2.0.0")) is not None


def test_who_signs_is_waited_for(shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = host.FileLock(lock_of(shelf))
    assert lock.acquire()
    monkeypatch.setattr("time.sleep", lambda _seconds: lock.release())
    another(shelf).require(REQUIRED)
    assert not lock_of(shelf).exists()


def test_a_timestamp_is_not_waited_for(shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for it comes by; whoever signs at the moment makes it young, too."""
    shelf.moment += RENEWED_AFTER
    lock, before = host.FileLock(lock_of(shelf)), shelf.files()
    assert lock.acquire()
    # Who waited would have the lock then.
    monkeypatch.setattr("time.sleep", lambda _seconds: lock.release())
    try:
        assert not another(shelf).renew()
    finally:
        lock.release()
    assert shelf.files() == before
    assert another(shelf).renew()


# --- the beginning --------------------------------------------------------------------------------


def elsewhere(shelf: SignedShelf) -> Place:
    folder = shelf.place.folder.parent / "elsewhere" / "metadata"
    return Place(folder, shelf.keyring, ONLINE_LIFE, disk=QuickDisk())


def test_what_is_half_written_is_not_shown_elsewhere(shelf: SignedShelf) -> None:
    """A new root, and the timestamp of the key before: somebody signs there at this moment."""
    shelf.keyring.make("new")
    before = shelf.files()[file_name(TIMESTAMP)]
    assert shelf.place.change(online_anew) is None
    (shelf.place.folder / file_name(TIMESTAMP)).write_bytes(before)
    other = elsewhere(shelf)
    with pytest.raises(SignatureRefused):
        other.begin_as(shelf.place)
    assert not other.folder.exists()


def test_what_is_shown_stays_when_another_begins(shelf: SignedShelf) -> None:
    other, path = elsewhere(shelf), release_path(TOOL_ID, "2.0.0")
    other.begin_as(shelf.place)
    other.sign(ReleaseName(TOOL_ID, "2.0.0", b"manifest"))
    other.begin_as(shelf.place)
    assert other.chain().find(path) is not None
    assert other.found() is None
    assert other.chain().find(path) is not None


def test_what_no_owner_should_sign_begins_nothing(shelf: SignedShelf) -> None:
    files = first_files(shelf.keyring, HQ_ROSTER, shelf.moment)
    keys, signers = [shelf.keyring.public(PUBLISHER_KEY)], [shelf.keyring.signer(PUBLISHER_KEY)]
    for_ever = signed_bytes(bins_of("hq", keys, shelf.moment + OFFLINE_LIFE), signers)
    lie = [File(file.name, for_ever) if file.role == "hq" else file for file in files]
    other = elsewhere(shelf)
    with pytest.raises(SignatureRefused):
        other.take_in(Draft(tuple(lie)))
    assert not other.exists
    other.take_in(Draft(tuple(files)))
    assert other.exists


def test_where_no_folder_is_none_is_made(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys", lambda _name: "", QuickDisk())
    with pytest.raises(NotSigned):
        Place(tmp_path / "keys" / "metadata", keyring, ONLINE_LIFE).require(REQUIRED)
    assert not (tmp_path / "keys").exists()


# --- keys that changed meanwhile ------------------------------------------------------------------


def test_the_keys_are_those_that_there_are_by_then(shelf: SignedShelf) -> None:
    """HQ runs on while its online key is rotated."""
    hq = another(shelf)
    shelf.keyring.make("new")
    assert shelf.place.change(online_anew) is None
    shelf.keyring.forget(ONLINE_KEY)
    hq.require(REQUIRED)
    hq.sign(ReleaseName(TOOL_ID, "2.0.0", b"manifest"))
    shelf.moment += RENEWED_AFTER
    assert hq.renew()
    signers = set(shelf.loaded(TIMESTAMP).signatures)
    assert signers == {shelf.keyring.public("new").keyid}
    assert ONLINE_KEY not in hq.keyring.names
