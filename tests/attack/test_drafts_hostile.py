"""Group S, owners apart: drafts that somebody harmed, and what no owner should sign."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from bitstation.errors import BitStationError
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.signed import Edit
from bitstation.trust.draft import Draft
from bitstation.trust.draft_folder import MAX_FILES, DraftFolder
from bitstation.trust.keyring import Keyring
from bitstation.trust.signing import more_signed
from tests.attack.ceremony import Apart


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


def test_s09_signed_by_who_is_no_owner(
    apart: Apart, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apart.ceremony.command("rotate", "hq-online", "hq-online-2") == 70
    edited(apart.draft, "*.root.json", lambda _root: None, signed_by=stranger(tmp_path))
    assert apart.sign("eva") == 31
    assert "signed it, and is none of its keys" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    "words",
    [
        ("rotate", "hq-online", "hq-online-2"),
        ("rotate", "acme-key", "acme-2"),
        ("add", "bolt-key", "--publisher", "bolt"),
    ],
)
def test_s09_a_draft_that_lost_a_file(apart: Apart, words: tuple[str, ...]) -> None:
    """Taken in without it, a publisher could sign no more, and what he signed would not install."""
    assert apart.ceremony.command(*words) == 70
    assert [apart.sign("ben"), apart.sign("eva")] == [0, 0]
    before, files = apart.metadata(), list(apart.draft.glob("*.json"))
    for path in files:
        data = path.read_bytes()
        path.unlink()
        assert apart.take_in() == 31
        path.write_bytes(data)
    assert apart.metadata() == before
    assert apart.take_in() == 0
    assert apart.update() == "1.1.0"


HARMS = {
    "a file too large": "it is too large",
    "too many files": "it has too many files",
    "no JSON": "nested too deeply",
    "no root": "is none of its keys",
    "a snapshot": "it holds other files than a draft does",
    "two roots": "it holds other files than a draft does",
}


@pytest.mark.parametrize("harm", HARMS)
def test_s09_a_draft_that_is_none(
    apart: Apart, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apart.ceremony.command("add", "fay") == 70
    (root,) = apart.draft.glob("*.root.json")
    if harm == "a file too large":
        root.write_bytes(root.read_bytes() + b" " * 512_000)
    elif harm == "too many files":
        for number in range(MAX_FILES):
            (apart.draft / f"1.x{number}.json").write_bytes(b"{}")
    elif harm == "a snapshot":
        (apart.draft / "9.snapshot.json").write_bytes(apart.metadata()["1.snapshot.json"])
    elif harm == "two roots":
        shutil.copy(root, apart.draft / "3.root.json")
    elif harm == "no JSON":
        root.write_bytes(b'{"signed": ' * 2000)
    else:
        root.unlink()
    assert apart.sign("ben") == 31
    assert HARMS[harm] in capsys.readouterr().err
    assert apart.take_in() == 31


def test_s09_an_empty_draft_is_refused(apart: Apart) -> None:
    with pytest.raises(BitStationError):
        apart.ceremony.place().take_in(Draft(()))
