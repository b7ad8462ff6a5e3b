"""Group S once more, owners apart: what a draft shows, whose signatures it takes, what not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from bitstation.cli.main import main
from bitstation.errors import BitStationError, KeyRefused
from bitstation.hq.headquarters import Headquarters
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.signed import Edit
from bitstation.trust.draft import Draft
from bitstation.trust.draft_folder import MAX_FILES, DraftFolder
from bitstation.trust.keyring import Keyring
from bitstation.trust.signing import more_signed
from tests.attack.test_signing_operations import (
    FIRST,
    PASSPHRASE,
    SECOND,
    THIRD,
    Ceremony,
)

OWNERS = ("ana", "ben", "eva")


class Apart:
    """A place whose owners each took their key away to a machine of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ceremony = Ceremony(folder / "hq")
        self.draft = self.ceremony.keys / "draft"

    def part(self) -> None:
        for name in OWNERS:
            (self.folder / name).mkdir()
            (self.ceremony.keys / f"{name}.pem").rename(self.folder / name / f"{name}.pem")

    def sign(self, who: str, *words: str, draft: Path | None = None) -> int:
        keys = str(self.folder / who)
        given = ["keys", "sign", str(draft or self.draft), "--keys", keys, "--lang", "en"]
        return main([*given, *(words or ("--yes",))])

    def take_in(self) -> int:
        return self.ceremony.command("sign", str(self.draft), "--yes")

    def update(self) -> str:
        return self.ceremony.update(FIRST, SECOND)

    def metadata(self) -> dict[str, bytes]:
        folder = self.ceremony.keys / "metadata"
        return {path.name: path.read_bytes() for path in folder.glob("*.json")}


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apart:
    monkeypatch.setenv("BITSTATION_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("BITSTATION_KEYS", raising=False)
    made = Apart(tmp_path)
    ceremony = made.ceremony
    assert ceremony.command("init", "--owners", ",".join(OWNERS), "--publisher", "acme") == 0
    ceremony.publish(FIRST)
    assert ceremony.join() == 0
    assert ceremony.update(FIRST) == "1.0.0"
    made.part()
    ceremony.publish(SECOND)
    return made


CHANGES = {
    "rotate an owner": ("rotate", "ana", "ana-2"),
    "rotate the online key": ("rotate", "hq-online", "hq-online-2"),
    "rotate a publisher's key": ("rotate", "acme-key", "acme-2"),
    "add an owner": ("add", "fay"),
    "add a publisher": ("add", "bolt-key", "--publisher", "bolt", "--tools", "bolt-*"),
}


@pytest.mark.parametrize("words", CHANGES.values(), ids=CHANGES)
def test_s05_owners_sign_one_after_the_other(apart: Apart, words: tuple[str, ...]) -> None:
    before = apart.metadata()
    assert apart.ceremony.command(*words) == 70
    assert apart.metadata() == before
    # One is too few, here and there.
    assert apart.take_in() == 31
    assert apart.sign("ben") == 0
    assert apart.take_in() == 31
    assert apart.metadata() == before
    # His second signature is none.
    assert apart.sign("ben") == 31
    assert apart.sign("eva") == 0
    # Enough, but the place is elsewhere.
    assert apart.metadata() == before
    assert apart.update() == "1.1.0"
    assert apart.take_in() == 0
    assert not apart.draft.exists()
    apart.ceremony.publish(THIRD)
    assert apart.ceremony.update(FIRST, SECOND, THIRD) == "1.2.0"


def test_s06_an_owner_goes(apart: Apart) -> None:
    assert apart.ceremony.command("add", "fay") == 70
    assert [apart.sign("ana"), apart.sign("ben"), apart.take_in()] == [0, 0, 0]
    assert apart.ceremony.command("revoke", "acme-key") == 2
    assert apart.ceremony.command("revoke", "eva") == 70
    # fay's key lies here, and signed at once: with ana it is enough.
    assert apart.sign("eva") == 0
    assert apart.take_in() == 31
    assert [apart.sign("ana"), apart.take_in()] == [0, 0]
    assert apart.update() == "1.1.0"


def test_s05_a_draft_says_what_changes_before_anybody_signs(
    apart: Apart, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apart.ceremony.command("rotate", "ana", "ana-2") == 70
    told = capsys.readouterr().out
    assert "root: 2 more of" in told
    assert "ben" in told
    before = DraftFolder(apart.draft).load()
    # Nobody is there to be asked, so nothing is signed.
    assert apart.sign("ben", "-q") == 2
    assert DraftFolder(apart.draft).load() == before
    shown = capsys.readouterr().err
    (old,) = [line for line in shown.splitlines() if line.startswith("  - root: 2 of ana (")]
    (new,) = [line for line in shown.splitlines() if line.startswith("  + root: 2 of ben (")]
    assert "ana-2 (" in new
    assert "ana-2 (" not in old
    assert "    acme: 1 of acme-key (" in shown
    assert apart.sign("ben", "--yes", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["waits"][0]["missing"] == 1


def test_s05_a_change_that_waits_is_not_written_over(apart: Apart) -> None:
    assert apart.ceremony.command("add", "fay") == 70
    draft = DraftFolder(apart.draft).load()
    assert apart.ceremony.command("add", "gus") == 2
    assert DraftFolder(apart.draft).load() == draft
    shutil.rmtree(apart.draft)
    assert apart.ceremony.command("add", "gus") == 70


def test_s01_a_place_of_owners_who_never_had_their_keys_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSTATION_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("BITSTATION_KEYS", raising=False)
    apart = Apart(tmp_path)
    given = []
    for name in (*OWNERS, "acme-key"):
        assert main(["keys", "new", name, "--keys", str(tmp_path / name)]) == 0
        given += ["--public", f"{name}={tmp_path / name / name}.pub"]
    words = ("init", "--owners", ",".join(OWNERS), "--publisher", "acme", *given)
    assert apart.ceremony.command(*words) == 70
    assert not (apart.ceremony.keys / "metadata").exists()
    # An HQ that made keys of its own here would be another place, and so would a second ceremony.
    with pytest.raises(KeyRefused):
        Headquarters(tmp_path / "data", apart.ceremony.keys)
    assert apart.ceremony.command(*words) == 2
    assert [apart.sign("ana"), apart.sign("eva"), apart.take_in()] == [0, 0, 31]
    assert [apart.sign("acme-key"), apart.take_in()] == [0, 0]
    assert sorted(path.stem for path in apart.ceremony.keys.glob("*.pem")) == ["hq-online"]
    assert apart.ceremony.join() == 0
    shutil.copy(tmp_path / "acme-key" / "acme-key.pem", apart.ceremony.keys)
    apart.ceremony.publish(FIRST)
    assert apart.ceremony.update(FIRST) == "1.0.0"


# --- hostile drafts -------------------------------------------------------------------------------


def edited(draft: Path, name: str, edit: Edit, *, signed_by: Keyring | None = None) -> None:
    """Change what a file says; the signatures stay, or are this keyring's alone."""
    (path,) = draft.glob(name)
    metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    edit(metadata.signed)
    if signed_by is not None:
        metadata.signatures.clear()
        signers = [signed_by.signer(key) for key in signed_by.names]
        path.write_bytes(more_signed(metadata, signers))
    else:
        path.write_bytes(metadata.to_bytes())


def stranger(folder: Path) -> Keyring:
    keyring = Keyring(folder / "stranger", lambda _name: "", QuickDisk())
    keyring.make("stranger")
    return keyring


def weaker(root: Root) -> None:
    root.roles["root"].threshold = 1


def later(signed: Any) -> None:
    signed.version += 1


def much_later(root: Root) -> None:
    root.version = 9


def with_a_release(targets: Targets) -> None:
    path = "x/1.0.0/manifest.json"
    targets.targets[path] = TargetFile.from_data(path, b"evil", ["sha256"])


def with_a_field(root: Root) -> None:
    root.unrecognized_fields["x-more"] = "unseen"


def under_the_id_of_another(root: Root) -> None:
    ids = root.roles["root"].keyids
    root.keys[ids[0]].keyval = root.keys[ids[1]].keyval


def open_to_all(targets: Targets) -> None:
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    targets.delegations.roles["acme"].paths = ["*/*/manifest.json", "*/*"]


def for_others(targets: Targets) -> None:
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    targets.delegations.roles["acme"].paths = ["bolt-*/*/manifest.json"]


def one_of_one(root: Root) -> None:
    for role in ("root", "targets"):
        del root.roles[role].keyids[1:]
        root.roles[role].threshold = 1
    known = {keyid for role in root.roles.values() for keyid in role.keyids}
    root.keys = {keyid: key for keyid, key in root.keys.items() if keyid in known}


UNSIGNED_LIES: dict[str, tuple[str, Callable[[Any], object], str]] = {
    "another version than the next": ("2.root.json", later, "its version is not 2"),
    "a version that is not the next": ("2.root.json", much_later, "version 9 does not follow 1"),
    "a field that is not shown": ("2.root.json", with_a_field, "it holds what is not shown"),
    "a key under the id of another": (
        "2.root.json", under_the_id_of_another, "is not what its id says",
    ),
    "one owner alone": ("2.root.json", one_of_one, "of 1 owners 1 would have to sign"),
    "a release among the publishers": (
        "2.targets.json", with_a_release, "it holds what is not shown",
    ),
    "paths that are not shown": ("2.targets.json", open_to_all, "it holds what is not shown"),
    "another root before": ("before/1.root.json", weaker, "was signed by 0/1 keys"),
    "other publishers before": ("before/1.targets.json", for_others, "was signed by 0/2 keys"),
}  # fmt: skip


@pytest.mark.parametrize("lie", UNSIGNED_LIES)
def test_s09_what_no_owner_should_sign_is_refused_before_he_is_asked(
    apart: Apart, lie: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apart.ceremony.command("rotate", "ana", "ana-2") == 70
    for path in apart.draft.glob("*.json"):
        # As nobody signed it yet, all of it can be changed unseen.
        metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
        metadata.signatures.clear()
        path.write_bytes(metadata.to_bytes())
    name, edit, reason = UNSIGNED_LIES[lie]
    edited(apart.draft, name, edit)
    if edit is much_later:
        (apart.draft / name).rename(apart.draft / "9.root.json")
    before = DraftFolder(apart.draft).load()
    capsys.readouterr()
    assert apart.sign("ben") == 31
    assert DraftFolder(apart.draft).load() == before
    said = capsys.readouterr().err
    assert reason in said
    assert "root: 2 of" not in said


def test_s09_changed_after_the_first_signature(apart: Apart) -> None:
    assert apart.ceremony.command("add", "fay") == 70
    assert apart.sign("ben") == 0
    edited(apart.draft, "*.root.json", weaker)
    assert apart.sign("eva") == 31
    assert apart.take_in() == 31
    assert apart.update() == "1.1.0"


def test_s09_signed_by_who_is_no_owner(apart: Apart, tmp_path: Path) -> None:
    assert apart.ceremony.command("rotate", "hq-online", "hq-online-2") == 70
    edited(apart.draft, "*.root.json", lambda _root: None, signed_by=stranger(tmp_path))
    assert apart.sign("eva") == 31


def test_s09_a_draft_of_another_place(apart: Apart, tmp_path: Path) -> None:
    """All of it is signed as it must be, by owners of other names; here nobody knows them."""
    other = Apart(tmp_path / "other")
    (tmp_path / "other").mkdir()
    assert other.ceremony.command("init", "--owners", "uma,vic,wim") == 0
    (other.ceremony.keys / "uma.pem").rename(tmp_path / "other" / "uma.pem")
    (other.ceremony.keys / "vic.pem").rename(tmp_path / "other" / "vic.pem")
    assert other.ceremony.command("add", "xie") == 70
    assert apart.sign("ben", draft=other.draft) == 31
    before = apart.metadata()
    assert apart.ceremony.command("sign", str(other.draft), "--yes") == 31
    assert apart.metadata() == before


def test_s09_a_draft_that_came_too_late(apart: Apart) -> None:
    """What it follows is not there any more: another change was taken in meanwhile."""
    assert apart.ceremony.command("add", "fay") == 70
    assert [apart.sign("ana"), apart.sign("ben")] == [0, 0]
    late = apart.folder / "late"
    shutil.copytree(apart.draft, late)
    shutil.rmtree(apart.draft)
    assert apart.ceremony.command("add", "gus") == 70
    assert [apart.sign("ana"), apart.sign("ben"), apart.take_in()] == [0, 0, 0]
    before = apart.metadata()
    assert apart.ceremony.command("sign", str(late), "--yes") == 31
    assert apart.metadata() == before
    assert apart.update() == "1.1.0"


def test_s09_a_key_that_bears_the_name_of_another(apart: Apart, tmp_path: Path) -> None:
    """Whoever finds his name in a draft beside a key that is not his does not sign for it."""
    other = Keyring(tmp_path / "false", lambda _name: "", QuickDisk())
    false = other.make("ben")
    assert apart.ceremony.command("rotate", "hq-online", "hq-online-2") == 70

    def with_a_false_ben(root: Root) -> None:
        (ben,) = [key.keyid for key in root.keys.values() if "ben" in str(key.to_dict())]
        for role in ("root", "targets"):
            root.revoke_key(ben, role)
            root.add_key(false, role)

    (path,) = apart.draft.glob("*.root.json")
    metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    with_a_false_ben(metadata.signed)
    path.write_bytes(metadata.to_bytes())
    # His own key signs, as an owner who goes; the other one is not his.
    assert apart.sign("ben") == 0
    signed: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    assert false.keyid not in signed.signatures


def test_s09_a_publisher_is_not_led_to_sign_what_he_began_long_ago(apart: Apart) -> None:
    """Else who controls HQ could have a version signed so far ahead that none could follow it."""
    assert apart.ceremony.command("add", "fay") == 70
    acme: Metadata[Any] = Metadata.from_bytes(apart.metadata()["1.acme.json"])
    acme.signed.version = 2**40
    acme.signatures.clear()
    for path in apart.draft.glob("*.json"):
        path.unlink()
    (apart.draft / f"{2**40}.acme.json").write_bytes(acme.to_bytes())
    assert apart.ceremony.command("sign", str(apart.draft), "--yes") == 31
    (written,) = apart.draft.glob("*.json")
    assert written.read_bytes() == acme.to_bytes()


@pytest.mark.parametrize("harm", ["a file too large", "too many files", "no JSON", "nothing"])
def test_s09_a_draft_that_is_none(apart: Apart, harm: str) -> None:
    assert apart.ceremony.command("add", "fay") == 70
    (root,) = apart.draft.glob("*.root.json")
    if harm == "a file too large":
        root.write_bytes(root.read_bytes() + b" " * 512_000)
    elif harm == "too many files":
        for number in range(MAX_FILES):
            (apart.draft / f"1.x{number}.json").write_bytes(b"{}")
    elif harm == "no JSON":
        root.write_bytes(b'{"signed": ' * 2000)
    else:
        root.unlink()
    assert apart.sign("ben") == 31
    assert apart.take_in() == 31


def test_s09_an_empty_draft_is_refused(apart: Apart) -> None:
    with pytest.raises(BitStationError):
        apart.ceremony.place().take_in(Draft(()))
