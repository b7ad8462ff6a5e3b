"""A draft of keys as a value: what is refused of it, each by its reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner, Key, Signer
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from bitstation.errors import SignatureRefused
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.trust.ceremony import Roster, first_files, make_keys
from bitstation.trust.chain import utc_now
from bitstation.trust.draft import Draft
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import OFFLINE_LIFE, SLACK
from bitstation.trust.signing import File, bins_of, next_version, signed_bytes

ROSTER = Roster(("ana", "ben", "eva"), 2, "acme", "acme-key", "hq-online")


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    made = Keyring(tmp_path, lambda _name: "", QuickDisk())
    make_keys(made, ROSTER)
    return made


@pytest.fixture
def first(keyring: Keyring) -> Draft:
    """The first metadata of a place, with all their signatures."""
    return Draft(tuple(first_files(keyring, ROSTER, utc_now())))


@pytest.fixture
def second(keyring: Keyring, first: Draft) -> Draft:
    """The next root and publishers, signed by all owners."""
    before = first.files[:2]
    files = []
    for file in before:
        signed = next_version(parsed(file).signed, utc_now(), timedelta(days=1))
        files.append(File(f"2.{file.role}.json", signed_bytes(signed, owners(keyring))))
    return Draft(tuple(files), before)


def owners(keyring: Keyring) -> list[Signer]:
    return [keyring.signer(name) for name in ROSTER.owners]


def parsed(file: File) -> Metadata[Any]:
    return Metadata.from_bytes(file.data)


def edited(file: File, edit: Callable[[Any], object], signers: list[Signer]) -> File:
    signed = parsed(file).signed
    edit(signed)
    return File(file.name, signed_bytes(signed, signers))


def refused(draft: Draft, reason: str) -> None:
    with pytest.raises(SignatureRefused) as caught:
        draft.check()
    assert reason in str(caught.value)


def with_a_field(root: Root) -> None:
    root.unrecognized_fields["x-more"] = "unseen"


def with_a_release(targets: Targets) -> None:
    targets.targets["x"] = TargetFile.from_data("x", b"evil", ["sha256"])


def test_true_drafts_are_good_and_wait_for_nobody(first: Draft, second: Draft) -> None:
    for draft in (first, second):
        draft.check()
        assert draft.waits() == []


def test_what_it_follows_is_there(first: Draft, second: Draft) -> None:
    four = [file for file in first.files if file.role in ("root", "targets", "snapshot")]
    refused(Draft(tuple(four)), "there is nothing that it follows")
    refused(Draft(second.files), "there is nothing that it follows")
    refused(Draft(second.files, second.before[:1]), "what it follows is not there")


def test_what_it_follows_holds_nothing_that_is_not_shown(keyring: Keyring, second: Draft) -> None:
    root, targets = second.before
    for before in (
        (edited(root, with_a_field, owners(keyring)), targets),
        (root, edited(targets, with_a_release, owners(keyring))),
    ):
        refused(Draft(second.files, before), "it holds what is not shown")


def test_hq_requires_with_the_key_of_its_timestamps(
    keyring: Keyring, first: Draft, second: Draft
) -> None:
    """Else the one whose key goes could still require, and the new one could not."""
    keyring.make("new")

    def rekeyed(root: Root) -> None:
        former = root.roles["timestamp"].keyids[0]
        for role in ("timestamp", "snapshot"):
            root.revoke_key(former, role)
            root.add_key(keyring.public("new"), role)

    for draft in (first, second):
        root, *others = draft.files
        fresh = edited(root, rekeyed, owners(keyring))
        reason = "HQ would not require with the key of its timestamps"
        refused(Draft((fresh, *others), draft.before), reason)
    refused(Draft((fresh,), second.before), reason)


def test_the_first_version_is_one(keyring: Keyring, first: Draft) -> None:
    def later(root: Root) -> None:
        root.version = 2

    root, *others = first.files
    other = File("2.root.json", edited(root, later, owners(keyring)).data)
    refused(Draft((other, *others)), "version 2 does not follow 0")
    refused(Draft((File("x.root.json", root.data), *others)), "another name")


@pytest.mark.parametrize("name", ["2.x.root.json", "02.root.json", "2.root", "2.Root.json.json"])
def test_a_file_has_the_name_that_everybody_asks_for(second: Draft, name: str) -> None:
    """Else it would be signed and taken in, and nobody would ever see it."""
    root, *others = second.files
    refused(Draft((File(name, root.data), *others), second.before), "another name")
    before = second.before[0]._replace(name=name.replace("2", "1"))
    refused(Draft(second.files, (before, second.before[1])), "another name")


def test_a_publisher_begins_with_the_keys_that_are_shown(keyring: Keyring, first: Draft) -> None:
    """Else a stranger would sign his releases, and no owner would have seen the key."""
    begun = bins_of("acme", [keyring.make("stranger")], utc_now())
    files = tuple(
        file._replace(data=signed_bytes(begun, [])) if file.name == "1.acme.json" else file
        for file in first.files
    )
    assert files != first.files
    refused(Draft(files), "not what a publisher begins with")


SIGNERS = {"root": ROSTER.owners, "targets": ROSTER.owners, "acme": ("acme-key",)}


@pytest.mark.parametrize("role", SIGNERS)
def test_none_holds_for_ever_or_no_more(keyring: Keyring, first: Draft, role: str) -> None:
    # The clock is the one that is given.
    now, second = utc_now().replace(microsecond=0) + timedelta(days=30), timedelta(seconds=1)
    signers = [keyring.signer(name) for name in SIGNERS[role]]

    def until(expires: datetime) -> Draft:
        def edit(signed: Any) -> None:
            signed.expires = expires

        rest = [edited(file, edit, signers) if file.role == role else file for file in first.files]
        draft = Draft(tuple(rest))
        assert draft.expiries()[role] == expires
        return draft

    longest = now + OFFLINE_LIFE + SLACK
    for good in (now + second, longest):
        until(good).check(now)
    for bad in (now, longest + second):
        with pytest.raises(SignatureRefused) as caught:
            until(bad).check(now)
        assert f"it would hold until {bad.date()}" in str(caught.value)
    refused(until(longest + timedelta(days=1)), "it would hold until")


def test_a_key_that_is_nowhere_signs_nothing(keyring: Keyring, second: Draft) -> None:
    def unknown(root: Root) -> None:
        root.roles["root"].keyids.append("ab" * 32)

    root, targets = second.files
    refused(Draft((edited(root, unknown, owners(keyring)), targets), second.before), "abab")


def test_each_file_is_of_the_role_that_its_name_says(
    keyring: Keyring, first: Draft, second: Draft
) -> None:
    root = second.files[0]
    refused(Draft((root, File("2.targets.json", root.data)), second.before), "of another kind")
    begun = bins_of("bolt", [keyring.public("acme-key")], utc_now())
    bolt = File("1.bolt.json", signed_bytes(begun, []))
    refused(Draft((*second.files, bolt), second.before), "it is no publisher")
    in_a_bin = File("1.acme_00.json", first.files[2].data)
    refused(Draft((*second.files, in_a_bin), second.before), "it is no publisher")


def without_delegations(targets: Targets) -> None:
    targets.delegations = None


def with_a_key_more(targets: Targets) -> None:
    assert targets.delegations is not None
    for key in targets.delegations.keys.values():
        key.unrecognized_fields["x-more"] = "unseen"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (with_a_release, "it is not what a publisher begins with"),
        (without_delegations, "it is not what a publisher begins with"),
        (with_a_key_more, "is not what its id says"),
    ],
)
def test_a_publisher_begins_with_nothing_but_his_bins(
    keyring: Keyring, first: Draft, edit: Callable[[Any], object], reason: str
) -> None:
    files = [
        edited(file, edit, [keyring.signer("acme-key")]) if file.role == "acme" else file
        for file in first.files
    ]
    refused(Draft(tuple(files)), reason)


def with_tools(pattern: str) -> Callable[[Targets], None]:
    def edit(targets: Targets) -> None:
        assert targets.delegations is not None
        assert targets.delegations.roles is not None
        targets.delegations.roles["acme"].paths = [f"{pattern}/*/manifest.json"]

    return edit


def with_a_false_name(targets: Targets) -> None:
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    role = targets.delegations.roles["acme"]
    role.name = "Bolt"
    targets.delegations.roles["Bolt"] = role
    del targets.delegations.roles["acme"]


def with_an_unused_key(targets: Targets) -> None:
    assert targets.delegations is not None
    key = CryptoSigner.generate_ed25519().public_key
    targets.delegations.keys[key.keyid] = key


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (without_delegations, "it holds what is not shown"),
        (with_a_key_more, "is not what its id says"),
        (with_tools("acm\u00e9-*"), "it holds what is not shown"),
        (with_tools("acme\x1b-*"), "it holds what is not shown"),
        (with_a_false_name, "is no name of a publisher"),
        (with_an_unused_key, "its keys are others than those of its roles"),
    ],
)
def test_publishers_hold_nothing_that_is_not_shown(
    keyring: Keyring, second: Draft, edit: Callable[[Any], object], reason: str
) -> None:
    root, targets = second.files
    refused(Draft((root, edited(targets, edit, owners(keyring))), second.before), reason)


def test_a_signer_that_signs_with_another_key_adds_nothing(
    keyring: Keyring, second: Draft, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A token that was exchanged, say: what it gives is looked at before it is kept."""
    other = CryptoSigner.generate_ed25519()

    class Exchanged(Signer):
        @classmethod
        def from_priv_key_uri(
            cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None
        ) -> Signer:
            return other

    # A list of keys as it was written while the right token was in.
    row = {"name": "eva", "uri": "awskms:1", "keyid": keyring.public("eva").keyid}
    row["public"] = keyring.public("eva").to_dict()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "keys.json").write_bytes(msgspec.json.encode([row]))
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "awskms", Exchanged)
    unsigned = [File(file.name, signed_bytes(parsed(file).signed, [])) for file in second.files]
    with pytest.raises(SignatureRefused):
        Draft(tuple(unsigned), second.before).sign(Keyring(tmp_path / "own", lambda _name: ""))
