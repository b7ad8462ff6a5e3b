"""Group S: what owners, publishers and an HQ do with their keys, and what workers make of it."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile, Targets

from bitstation import BitStationError, DeltaUpdater
from bitstation.cli.main import main
from bitstation.errors import KeyRefused, NotSigned
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import Invariants
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.testing.signed import ONLINE_KEY, OWNERS, PUBLISHER_KEY, SignedShelf
from bitstation.trust.ceremony import Roster
from bitstation.trust.chain import Chain
from bitstation.trust.changes import change_root, replace_key
from bitstation.trust.keyring import Keyring
from bitstation.trust.place import Place
from bitstation.trust.roles import (
    ONLINE_LIFE,
    ONLINE_ROLES,
    RENEWED_AFTER,
    REQUIREMENTS,
    file_name,
)
from bitstation.trust.signing import File, ReleaseName, publishers_of
from tests.attack.ceremony import FIRST, PASSPHRASE, SECOND, THIRD, Ceremony
from tests.attack.trusting import NEW, OLD, accepted


@pytest.fixture
def ceremony(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ceremony:
    monkeypatch.setenv("BITSTATION_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("BITSTATION_KEYS", raising=False)
    made = Ceremony(tmp_path)
    assert made.command("init", "--owners", "ana,ben,eva", "--publisher", "acme") == 0
    made.publish(FIRST)
    assert made.join() == 0
    assert made.update(FIRST) == "1.0.0"
    made.publish(SECOND)
    return made


def test_s01_create_keys(ceremony: Ceremony, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ana", "ben", "eva", "acme-key"):
        assert b"ENCRYPTED" in (ceremony.keys / f"{name}.pem").read_bytes()
    # Twice would lose the first ones.
    assert ceremony.command("init") == 2
    capsys.readouterr()
    assert main(["keys", "status", "--keys", str(ceremony.keys), "--lang", "en"]) == 0
    shown = capsys.readouterr().out
    assert "root: 2 of ana, ben, eva" in shown
    assert "acme: 1 of acme-key" in shown


@pytest.mark.parametrize(("owners", "threshold"), [("a,b", "2"), ("a", "1"), ("a,a", "1")])
def test_s02_threshold_equal_to_the_number_of_keys(
    tmp_path: Path, owners: str, threshold: str
) -> None:
    words = ("init", "--owners", owners, "--threshold", threshold, "--no-passphrase")
    assert Ceremony(tmp_path).command(*words) == 31
    assert not (tmp_path / "keys").exists()


def test_s03_lose_one_key(ceremony: Ceremony) -> None:
    (ceremony.keys / "eva.pem").unlink()
    listed = ceremony.keys / "keys.json"
    keyring = Keyring(ceremony.keys, lambda _name: PASSPHRASE, QuickDisk())
    lost = keyring.public("eva").keyid
    assert lost in listed.read_text("utf-8")
    keyring.forget("eva")
    assert ceremony.command("add", "fay") == 0
    assert ceremony.update(FIRST, SECOND) == "1.1.0"


def test_s04_rotate_the_online_key(ceremony: Ceremony) -> None:
    assert ceremony.command("rotate", "hq-online", "hq-online-2") == 0
    # It signs every day with nobody there to type.
    assert b"ENCRYPTED" not in (ceremony.keys / "hq-online-2.pem").read_bytes()
    assert ceremony.update(FIRST, SECOND) == "1.1.0"


def test_s04_hq_requires_with_its_new_online_key_alone(
    pinned: DeltaUpdater, shelf: SignedShelf
) -> None:
    accepted(pinned, shelf.source())
    shelf.keyring.make("new")
    assert shelf.place.change(online_anew) is None
    shelf.require(OLD)
    accepted(pinned, requiring(shelf, OLD), OLD)
    shelf.require(NEW)
    accepted(pinned, requiring(shelf, NEW), NEW)

    def old_again(requirements: Targets) -> None:
        said = [OLD.version, OLD.manifest.manifest_hash]
        for target in requirements.targets.values():
            target.unrecognized_fields["custom"] = {"stable": said}

    # Whoever has stolen the former one, and even finds a snapshot that names what he signs.
    shelf.show(REQUIREMENTS, shelf.forge(REQUIREMENTS, old_again, [ONLINE_KEY]), ["new"])
    with pytest.raises(BitStationError) as caught:
        pinned.update(requiring(shelf, OLD), OLD.version)
    assert caught.value.code == "signature-refused"
    Invariants(pinned.root.path).check(TOOL_ID, NEW.manifest)


def online_anew(chain: Chain, keyring: Keyring, now: datetime) -> list[File]:
    edit = replace_key(ONLINE_ROLES, keyring.public(ONLINE_KEY).keyid, keyring.public("new"))
    return change_root(chain, keyring, edit, now)


def requiring(shelf: SignedShelf, release: Release) -> MemorySource:
    source = shelf.source()
    source.required.add(release.version)
    return source


def test_s05_rotate_an_owner(ceremony: Ceremony) -> None:
    assert ceremony.command("rotate", "ana", "ana-2") == 0
    assert ceremony.command("rotate", "ben", "ben-2") == 0
    assert ceremony.update(FIRST, SECOND) == "1.1.0"


def test_s05_rotate_a_publisher_key(ceremony: Ceremony) -> None:
    """All he ever signed is signed anew, so that what is published stays installable."""
    assert ceremony.command("rotate", "acme-key", "acme-2") == 0
    assert ceremony.update(FIRST, SECOND) == "1.1.0"
    ceremony.publish(THIRD)
    assert ceremony.update(FIRST, SECOND, THIRD) == "1.2.0"


def test_s05_a_publisher_with_a_new_key_keeps_his_place(ceremony: Ceremony) -> None:
    """Of two who may sign a tool the first is asked first: a rotation must not turn that round."""
    added = ("add", "bolt-key", "--publisher", "bolt")
    assert ceremony.command(*added) == 0
    before = order_of_publishers(ceremony)
    assert before[-1] == "bolt"
    assert ceremony.command("rotate", "acme-key", "acme-2") == 0
    assert order_of_publishers(ceremony) == before


def order_of_publishers(ceremony: Ceremony) -> list[str]:
    chain = ceremony.place().chain()
    return list(publishers_of(chain.targets))


def test_s06_revoke(ceremony: Ceremony) -> None:
    assert ceremony.command("revoke", "acme") == 0
    assert ceremony.update(FIRST, SECOND) == "not-signed"
    assert ceremony.worker.verify().damaged == ()
    # Of three owners with two to sign none can go: the next lost key would end everything.
    assert ceremony.command("revoke", "eva") == 31


def test_s07_signed_anew_before_it_expires(tmp_path: Path) -> None:
    shelf = SignedShelf(tmp_path / "shelf")
    before = shelf.version("timestamp")
    assert not shelf.place.renew()
    shelf.moment += RENEWED_AFTER
    assert shelf.place.renew()
    assert shelf.version("timestamp") == before + 1
    expires = shelf.loaded("timestamp").signed.expires
    assert expires - shelf.moment >= timedelta(days=6)
    assert isinstance(expires, datetime)


@pytest.mark.parametrize("given", ["", "wrong"])
def test_s08_passphrase_missing(
    ceremony: Ceremony, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("BITSTATION_PASSPHRASE", given)
    before = sorted((ceremony.keys / "metadata").iterdir())
    assert ceremony.command("rotate", "hq-online", "hq-online-2") == 31
    assert sorted((ceremony.keys / "metadata").iterdir()) == before
    assert ceremony.update(FIRST, SECOND) == "1.1.0"


def test_s09_wrong_key_picked(tmp_path: Path, ceremony: Ceremony) -> None:
    """A publisher's key for the tools of another signs nothing of them."""
    assert ceremony.command("add", "bolt-key", "--publisher", "bolt", "--tools", "bolt-*") == 0
    Keyring(ceremony.keys, lambda _name: PASSPHRASE, QuickDisk()).forget("acme-key")
    with pytest.raises(NotSigned):
        ceremony.publish(THIRD)
    with pytest.raises(KeyRefused):
        Place(
            tmp_path / "other",
            Keyring(tmp_path / "none", lambda _name: "", QuickDisk()),
            ONLINE_LIFE,
            disk=QuickDisk(),
        ).found(Roster(OWNERS, 2, "acme", "k", "o"))


BOLT = make_release({"b": b"1"}, "1.0.0", tool_id="bolt-tool")


def test_s09_a_publisher_who_came_later_signs_his_own_tools(ceremony: Ceremony) -> None:
    assert ceremony.command("revoke", "acme") == 0
    assert ceremony.command("add", "bolt-key", "--publisher", "bolt", "--tools", "bolt-*") == 0
    manifest = BOLT.manifest.encode()
    ceremony.place().sign(ReleaseName("bolt-tool", "1.0.0", manifest))
    found = ceremony.place().chain().find("bolt-tool/1.0.0/manifest.json")
    assert found is not None
    assert found[1].startswith("bolt-")
    # Other tools with the same key; another key is for `rotate`, which signs all anew.
    assert (
        ceremony.command("add", "bolt-key", "--publisher", "bolt", "--tools", "bolt-*,nut-*") == 0
    )
    assert ceremony.command("add", "bolt-2", "--publisher", "bolt") == 31
    assert ceremony.command("add", "acme-2", "--publisher", "acme") == 31
    assert ceremony.command("rotate", "bolt-key", "bolt-2") == 0
    assert ceremony.place().chain().find("bolt-tool/1.0.0/manifest.json") is not None


def test_s10_restore_from_backup(ceremony: Ceremony, tmp_path: Path) -> None:
    """What workers saw since is newer: they refuse, until as much was signed again."""
    shutil.copytree(ceremony.keys, tmp_path / "backup")
    ceremony.publish(THIRD)
    assert ceremony.update(FIRST, SECOND, THIRD) == "1.2.0"
    shutil.rmtree(ceremony.keys)
    shutil.copytree(tmp_path / "backup", ceremony.keys)
    assert ceremony.update(FIRST, SECOND) == "signature-refused"
    assert ceremony.worker.verify().damaged == ()
    ceremony.publish(THIRD)
    ceremony.publish(make_release({"a": b"4"}, "1.3.0"))
    assert ceremony.update(FIRST, SECOND, THIRD) == "1.2.0"


# --- what a place takes in from others ------------------------------------------------------------


def placed(shelf: SignedShelf, role: str, data: bytes) -> str:
    """Code of the error with which metadata are refused; nothing of them shows then."""
    before = shelf.files()
    version = json.loads(data)["signed"]["version"]
    with pytest.raises(BitStationError) as caught:
        shelf.place.accept([File(file_name(role, version), data)])
    assert shelf.files() == before
    return caught.value.code


def test_s09_a_bin_that_a_stranger_signed_is_not_taken_in(tmp_path: Path) -> None:
    shelf = SignedShelf(tmp_path)
    shelf.publish(FIRST)
    shelf.keyring.make("stranger")
    role = shelf.bin_of(FIRST)
    assert placed(shelf, role, shelf.forge(role, keys=["stranger"])) == "signature-refused"
    assert placed(shelf, "hq", shelf.forge("hq", keys=["stranger"])) == "signature-refused"
    assert placed(shelf, "root", shelf.forge("root", keys=["stranger"])) == "signature-refused"


def test_s09_what_was_signed_once_does_not_become_another(tmp_path: Path) -> None:
    shelf = SignedShelf(tmp_path)
    shelf.publish(FIRST)
    role, path = shelf.bin_of(FIRST), f"{TOOL_ID}/1.0.0/manifest.json"

    def other(targets: Targets) -> None:
        targets.targets[path] = TargetFile.from_data(path, b"other", ["sha256"])

    assert placed(shelf, role, shelf.forge(role, other, [PUBLISHER_KEY])) == "release-conflict"
    shelf.place.accept([File(file_name(role, 2), shelf.forge(role, keys=[PUBLISHER_KEY]))])
    assert shelf.version(role) == 2


def test_s09_a_root_under_another_name_is_not_taken_in(tmp_path: Path) -> None:
    """Well signed, and nobody would ever ask for it: HQ's disk would fill with such."""
    shelf = SignedShelf(tmp_path)
    before = shelf.files()
    data = shelf.forge("root", keys=OWNERS)
    with pytest.raises(BitStationError) as caught:
        shelf.place.accept([File("2.junk.root.json", data)])
    assert caught.value.code == "signature-refused"
    assert shelf.files() == before


@pytest.mark.parametrize("name", ["2.root.json", "1.nobody.json", "1.hq-zz.json"])
def test_s09_metadata_that_are_none_are_not_taken_in(tmp_path: Path, name: str) -> None:
    shelf = SignedShelf(tmp_path)
    before = shelf.files()
    with pytest.raises(BitStationError) as caught:
        shelf.place.accept([File(name, b"{}")])
    assert caught.value.code == "signature-refused"
    assert shelf.files() == before
