"""Keys by their names: what a folder of them knows, what it gives away, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner, Key

from bitstation.errors import KeyRefused, StoreCorrupt, StoreError
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk
from bitstation.trust.keyring import INDEX_NAME, Keyring, keyid_of, name_of, read_public

DATA = b"what is signed"


class Person:
    """Types the same passphrase whenever he is asked, and remembers for which key."""

    def __init__(self, passphrase: str = "") -> None:
        self.passphrase = passphrase
        self.asked: list[str] = []

    def __call__(self, name: str) -> str:
        self.asked.append(name)
        return self.passphrase


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "keys"


def opened(folder: Path, passphrase: str = "") -> Keyring:
    return Keyring(folder, Person(passphrase), QuickDisk())


def signs(keyring: Keyring, name: str, public: Key) -> None:
    public.verify_signature(keyring.signer(name).sign(DATA), DATA)


def refused(act: Callable[[], object], reason: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        act()
    assert reason in str(caught.value.fields["detail"])


def elsewhere(tmp_path: Path) -> tuple[str, Key]:
    """URI of a key that another program keeps, and its public half."""
    other = opened(tmp_path / "other")
    public = other.make("theirs")
    return f"file2:{(tmp_path / 'other' / 'theirs.pem').as_posix()}", public


def put_another(folder: Path, name: str) -> None:
    """Another key stands in the file of a name."""
    (folder / f"{name}.pem").write_bytes(CryptoSigner.generate_ed25519().private_bytes)


# --- made here ------------------------------------------------------------------------------------


def test_what_others_did_to_a_folder_meanwhile_is_kept(tmp_path: Path, folder: Path) -> None:
    uri, public = elsewhere(tmp_path)
    one, other = opened(folder), opened(folder)
    one.make("ana")
    other.make("ben")
    one.add("cleo", uri, public)
    assert opened(folder).names == ["ana", "ben", "cleo"]
    refused(lambda: other.make("cleo"), "there is a key of that name")
    refused(lambda: opened(folder).add("ben", uri, public), "there is a key of that name")
    other.forget("ana")
    assert opened(folder).names == ["ben", "cleo"]
    assert sorted(path.name for path in folder.iterdir()) == ["ben.pem", "ben.pub", INDEX_NAME]


def test_a_name_that_another_gave_meanwhile_is_not_given_again(
    tmp_path: Path, folder: Path
) -> None:
    uri, public = elsewhere(tmp_path)
    late = opened(folder)
    first = opened(folder).make("ana")
    refused(lambda: late.add("ana", uri, public), "there is a key of that name")
    assert opened(folder).public("ana") == first


def test_a_key_that_was_made_signs_whenever_the_folder_is_opened(folder: Path) -> None:
    keyring = opened(folder)
    made = keyring.make("ana")
    assert keyring.names == ["ana"]
    again = opened(folder)
    assert again.names == ["ana"]
    assert again.public("ana") == made
    signs(again, "ana", made)


def test_a_folder_where_nothing_is_has_no_keys(folder: Path) -> None:
    assert opened(folder).names == []
    assert not folder.exists()


def test_the_public_half_lies_beside_for_others(folder: Path) -> None:
    keyring = opened(folder)
    made = keyring.make("ana")
    assert read_public(keyring.public_file("ana"), "ana").keyid == made.keyid
    assert b"PRIVATE" not in keyring.public_file("ana").read_bytes()


def test_a_passphrase_seals_a_key_and_is_asked_for_by_its_name(folder: Path) -> None:
    opened(folder).make("ana", "secret")
    person = Person("secret")
    keyring = Keyring(folder, person, QuickDisk())
    assert keyring.is_sealed("ana")
    assert b"ENCRYPTED" in (folder / "ana.pem").read_bytes()
    signs(keyring, "ana", keyring.public("ana"))
    assert person.asked == ["ana"]


def test_nobody_is_asked_for_the_passphrase_of_an_open_key(folder: Path) -> None:
    opened(folder).make("ana")
    person = Person("secret")
    keyring = Keyring(folder, person, QuickDisk())
    assert not keyring.is_sealed("ana")
    signs(keyring, "ana", keyring.public("ana"))
    assert person.asked == []


def test_a_sealed_key_signs_with_no_other_passphrase(folder: Path) -> None:
    opened(folder).make("ana", "secret")
    refused(lambda: opened(folder, "other").signer("ana"), "wrong passphrase")
    refused(lambda: opened(folder).signer("ana"), "its passphrase is needed")


@pytest.mark.parametrize("name", ["", "Ana", "-ana", "../ana", "ana/ben", "a" * 65, "añá", "ana\n"])
def test_what_could_be_a_path_or_an_option_is_no_name(folder: Path, name: str) -> None:
    keyring = opened(folder)
    refused(lambda: keyring.make(name), "a key's name is")
    refused(lambda: keyring.add(name, "", CryptoSigner.generate_ed25519().public_key), "name is")
    assert not folder.exists()


def test_no_key_is_made_over_another(folder: Path) -> None:
    keyring = opened(folder)
    made = keyring.make("ana")
    before = (folder / "ana.pem").read_bytes()
    refused(lambda: keyring.make("ana"), "there is a key of that name")
    # One whose owner carried his file away; one of whom there is the file alone.
    (folder / "ana.pem").rename(folder / "ben.pem")
    refused(lambda: keyring.make("ana"), "there is a key of that name")
    refused(lambda: keyring.make("ben"), "there is a key of that name")
    assert (folder / "ben.pem").read_bytes() == before
    assert opened(folder).public("ana") == made


def test_what_no_key_is_called_is_refused(folder: Path) -> None:
    keyring = opened(folder)
    keyring.make("ana")
    for ask in (keyring.public, keyring.signer, keyring.is_sealed, keyring.forget):
        refused(lambda ask=ask: ask("ben"), "there is no such key")  # type: ignore[misc]


def test_the_given_disk_writes_everything(folder: Path) -> None:
    disk = FaultyDisk()
    Keyring(folder, Person(), disk).make("ana")
    written = {path.name for path in folder.iterdir()}
    assert written == {"ana.pem", "ana.pub", INDEX_NAME}
    assert {call.split()[-1] for call in disk.calls} >= written


def test_without_a_disk_keys_are_written_too(folder: Path) -> None:
    made = Keyring(folder, Person()).make("ana")
    assert opened(folder).public("ana") == made


# --- files that are other than they were ----------------------------------------------------------


def test_a_file_that_was_carried_away_signs_nothing_here(folder: Path) -> None:
    keyring = opened(folder)
    keyring.make("ana")
    (folder / "ana.pem").unlink()
    refused(lambda: keyring.signer("ana"), "is not there")
    # It is held to have a passphrase: whoever carried it away is asked.
    assert keyring.is_sealed("ana")


def test_a_file_without_the_key_signs_nothing(folder: Path) -> None:
    keyring = opened(folder)
    keyring.make("ana")
    (folder / "ana.pem").write_bytes(b"no key")
    refused(lambda: keyring.signer("ana"), "no key file")
    put_another(folder, "ana")
    refused(lambda: keyring.signer("ana"), "does not match")


@pytest.mark.parametrize("data", [b"", b"{}", b"[7]", b"\xff", b'[{"name": "ana"}]'])
def test_a_damaged_list_is_an_error_and_not_as_if_there_were_no_keys(
    folder: Path, data: bytes
) -> None:
    opened(folder).make("ana")
    (folder / INDEX_NAME).write_bytes(data)
    with pytest.raises(StoreCorrupt):
        opened(folder)
    assert (folder / INDEX_NAME).read_bytes() == data


def test_a_file_in_the_way_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"")
    with pytest.raises(StoreError):
        opened(tmp_path / "keys").make("ana")


@pytest.mark.parametrize(
    "data", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
)
def test_what_holds_no_public_key_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "ana.pub"
    path.write_bytes(data)
    refused(lambda: read_public(path, "ana"), "holds no public key")
    with pytest.raises(StoreError):
        read_public(tmp_path / "none.pub", "ana")


# --- keys that live elsewhere ---------------------------------------------------------------------


def test_a_key_elsewhere_signs_by_its_uri(tmp_path: Path, folder: Path) -> None:
    uri, public = elsewhere(tmp_path)
    added = opened(folder).add("ben", uri, public)
    assert name_of(added) == "ben"
    keyring = opened(folder)
    signs(keyring, "ben", public)
    assert keyring.find([public.keyid]) == ["ben"]
    assert not keyring.is_sealed("ben")
    assert [path.name for path in folder.iterdir()] == [INDEX_NAME]


def test_a_public_half_alone_signs_on_another_machine_only(tmp_path: Path, folder: Path) -> None:
    _uri, public = elsewhere(tmp_path)
    keyring = opened(folder)
    keyring.add("ben", "", public)
    assert keyring.public("ben").keyid == public.keyid
    assert keyring.find([public.keyid]) == []
    refused(lambda: keyring.signer("ben"), "is not there")


def test_another_key_than_was_given_gets_no_name(tmp_path: Path, folder: Path) -> None:
    uri, _public = elsewhere(tmp_path)
    other = CryptoSigner.generate_ed25519().public_key
    keyring = opened(folder)
    refused(lambda: keyring.add("ben", uri, other), "does not match")
    assert keyring.names == opened(folder).names == []


def test_a_public_half_that_is_not_given_is_asked_for(tmp_path: Path, folder: Path) -> None:
    uri, _public = elsewhere(tmp_path)
    refused(lambda: opened(folder).add("ben", uri), "its public half cannot be asked for there")


def test_a_name_leads_to_one_key_only(tmp_path: Path, folder: Path) -> None:
    uri, public = elsewhere(tmp_path)
    keyring = opened(folder)
    made = keyring.make("ana")
    refused(lambda: keyring.add("ana", uri, public), "there is a key of that name")
    assert keyring.public("ana") == made
    # Nothing is asked for one that could get no name.
    refused(lambda: keyring.add("Ana", uri), "a key's name is")


def test_the_same_key_is_named_again(tmp_path: Path, folder: Path) -> None:
    """Its command had failed after that."""
    uri, public = elsewhere(tmp_path)
    opened(folder).add("ben", uri, public)
    before = (folder / INDEX_NAME).read_bytes()
    keyring = opened(folder)
    assert keyring.add("ben", uri, public) == keyring.public("ben")
    for other in ("", uri + "x"):
        refused(lambda other=other: keyring.add("ben", other, public), "of that name")  # type: ignore[misc]
    stranger = CryptoSigner.generate_ed25519().public_key
    refused(lambda: keyring.add("ben", uri, stranger), "of that name")
    assert (folder / INDEX_NAME).read_bytes() == before


# --- find, learn, forget --------------------------------------------------------------------------


def test_keys_are_found_by_their_ids_where_they_can_sign(folder: Path) -> None:
    keyring = opened(folder)
    ana, ben, eva = (keyring.make(name) for name in ("ana", "ben", "eva"))
    (folder / "eva.pem").unlink()
    assert keyring.find([ben.keyid, eva.keyid, "0" * 64]) == ["ben"]
    assert keyring.find([ben.keyid, ana.keyid]) == ["ana", "ben"]
    assert keyring.find([]) == []


def test_an_owner_needs_his_own_file_only(tmp_path: Path, folder: Path) -> None:
    """He learns from the draft whose key is in it, and of no key that is not here."""
    ana, ben = (opened(folder).make(name) for name in ("ana", "ben"))
    own = tmp_path / "own"
    own.mkdir()
    (folder / "ana.pem").rename(own / "ana.pem")
    keyring = opened(own)
    keyring.learn([ana, ben])
    assert keyring.names == keyring.find([ana.keyid, ben.keyid]) == ["ana"]
    signs(keyring, "ana", ana)
    assert opened(own).names == []


def test_what_a_draft_calls_a_key_changes_no_name_here(folder: Path) -> None:
    keyring = opened(folder)
    made = keyring.make("ana")
    keyring.learn([opened(folder.parent / "other").make("ana")])
    assert keyring.public("ana") == made


def test_a_name_in_a_draft_under_which_another_key_lies_here(folder: Path) -> None:
    folder.mkdir(parents=True)
    put_another(folder, "ana")
    keyring = opened(folder)
    keyring.learn([opened(folder.parent / "other").make("ana")])
    refused(lambda: keyring.signer("ana"), "does not match")


def test_what_is_forgotten_leaves_nothing_and_its_name_is_free(folder: Path) -> None:
    keyring = opened(folder)
    made, other = keyring.make("ana"), keyring.make("ben")
    keyring.forget("ana")
    assert keyring.names == opened(folder).names == ["ben"]
    assert {path.name for path in folder.iterdir()} == {"ben.pem", "ben.pub", INDEX_NAME}
    assert keyring.make("ana").keyid != made.keyid
    assert keyring.public("ben") == other


def test_a_key_elsewhere_is_only_named_here_and_nothing_of_it_is_removed(
    tmp_path: Path, folder: Path
) -> None:
    """Not even where another program begins to keep it in this very folder."""
    uri, public = elsewhere(tmp_path)
    keyring = opened(folder)
    keyring.add("ben", uri, public)
    kept = folder / "ben.pem"
    kept.write_bytes(Path(uri.partition(":")[2]).read_bytes())
    keyring.forget("ben")
    assert keyring.names == opened(folder).names == []
    assert kept.is_file()


# --- names and ids of public keys -----------------------------------------------------------------


def test_an_id_is_the_digest_of_what_the_key_is() -> None:
    for signer in (CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa()):
        assert keyid_of(signer.public_key) == signer.public_key.keyid


@pytest.mark.parametrize("named", [None, 7, ["ana"], "", "Ana", "ana ben", "\x1b[31mana"])
def test_what_is_no_name_of_a_key_is_not_shown(named: object) -> None:
    key = CryptoSigner.generate_ed25519().public_key
    key.unrecognized_fields["x-bitstation-name"] = named
    assert name_of(key) == key.keyid[:8]
    key.unrecognized_fields["x-bitstation-name"] = "ana"
    assert name_of(key) == "ana"
