"""Keys that never lie in a file of ours: in an HSM, a cloud, a Vault, on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner, Key, Signer

from bitstation.cli.main import main
from bitstation.testing.releases import TOOL_ID
from bitstation.trust.keyring import Keyring, keyid_of
from tests.cli.conftest import Bitstation

PASSPHRASE = "correct horse battery staple"
NAMES = ("owner-1", "owner-2", "owner-3", "publisher-key", "hq-online")


class Cloud(Signer):
    """A KMS that is reached by nothing: it stands where the real one is registered."""

    keys: ClassVar[dict[str, CryptoSigner]] = {}

    @classmethod
    def import_(cls, aws_key_id: str) -> tuple[str, Key]:
        return f"awskms:{aws_key_id}", cls.keys[aws_key_id].public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None
    ) -> Signer:
        return cls.keys[priv_key_uri.partition(":")[2]]


@pytest.fixture(autouse=True)
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_PASSPHRASE", PASSPHRASE)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> type[Cloud]:
    made = {name: CryptoSigner.generate_ecdsa() for name in (*NAMES, "publisher-2")}
    monkeypatch.setattr(Cloud, "keys", made)
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "awskms", Cloud)
    return Cloud


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def open_file(folder: Path, name: str) -> tuple[Path, Path]:
    """Private and public file of a key that another program may have made."""
    keyring = Keyring(folder, lambda _name: "")
    keyring.make(name)
    return folder / f"{name}.pem", keyring.public_file(name)


def installs_from(dist: Path, keys: Path, tool_folder: Path, bitstation: Bitstation) -> None:
    assert bitstation("pack", tool_folder, "--out", dist, "--keys", keys).code == 0
    assert bitstation("join", dist, "--yes").code == 0
    package = dist / f"tool_{TOOL_ID}_2.0.0.zip"
    assert main(["update", TOOL_ID, "--from-zip", str(package), "-q"]) == 0


def test_a_place_whose_keys_all_live_in_a_cloud(
    cloud: type[Cloud], keys: Path, tmp_path: Path, tool_folder: Path, bitstation: Bitstation
) -> None:
    words = [word for name in NAMES for word in ("--signer", f"{name}=awskms:{name}")]
    assert bitstation("keys", "init", "--keys", keys, *words).code == 0
    assert not list(keys.glob("*.pem"))
    installs_from(tmp_path / "dist", keys, tool_folder, bitstation)
    new = ("publisher-2", "--signer", "publisher-2=awskms:publisher-2")
    assert bitstation("keys", "rotate", "publisher-key", *new, "--keys", keys).code == 0
    assert "publisher-2" in bitstation("keys", "status", "--keys", keys).out


def test_keys_that_another_program_keeps_in_files(
    keys: Path, tmp_path: Path, tool_folder: Path, bitstation: Bitstation
) -> None:
    words: list[object] = []
    for name in ("owner-1", "owner-2", "publisher-key"):
        private, public = open_file(tmp_path / "other", name)
        words += ["--signer", f"{name}=file2:{private.as_posix()}", "--public", f"{name}={public}"]
    assert bitstation("keys", "init", "--keys", keys, *words).code == 0
    assert sorted(path.stem for path in keys.glob("*.pem")) == ["hq-online", "owner-3"]
    installs_from(tmp_path / "dist", keys, tool_folder, bitstation)
    private, public = open_file(tmp_path / "other", "owner-4")
    more = ("--signer", f"owner-4=file2:{private.as_posix()}", "--public", f"owner-4={public}")
    assert bitstation("keys", "add", "owner-4", "--keys", keys, *more).code == 0
    assert "owner-4" in bitstation("keys", "status", "--keys", keys).out


def test_an_owner_takes_a_new_key_that_never_leaves_his_machine(
    keys: Path, tmp_path: Path, bitstation: Bitstation
) -> None:
    """He signs with both, for the former owners and the next must be enough each."""
    assert bitstation("keys", "init", "--keys", keys).code == 0
    own = tmp_path / "own"
    assert bitstation("keys", "new", "owner-1b", "--keys", own).code == 0
    for name in ("owner-1", "owner-2"):
        (keys / f"{name}.pem").rename(own / f"{name}.pem")
    words = ("owner-1", "owner-1b", "--public", f"owner-1b={own / 'owner-1b.pub'}")
    ended = bitstation("keys", "rotate", *words, "--keys", keys, "--json")
    assert ended.code == 70
    assert {wait["role"] for wait in ended.object["waits"]} == {"root", "targets"}
    draft = ended.object["draft"]
    assert bitstation("keys", "sign", draft, "--keys", own, "--yes").code == 0
    assert bitstation("keys", "sign", draft, "--keys", keys, "--yes").code == 0
    assert "owner-1b" in bitstation("keys", "status", "--keys", keys).out
    assert sorted(path.stem for path in keys.glob("owner*.pem")) == ["owner-3"]


@pytest.mark.parametrize(
    ("uri", "extra"),
    [
        ("hsm:2?label=YubiKey", "hsm"),
        ("awskms:1234", "awskms"),
        ("gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1", "gcpkms"),
        ("azurekms://vault.vault.azure.net/keys/key/1", "azurekms"),
        ("hv:key/1", "vault"),
    ],
)
def test_a_library_that_is_lacking_is_named(
    keys: Path, bitstation: Bitstation, uri: str, extra: str
) -> None:
    """None of them is installed with BitStation, and none was ever tried with it."""
    ended = bitstation("keys", "init", "--keys", keys, "--signer", f"owner-1={uri}", "--json")
    assert ended.code == 31
    assert ended.object["error"]["code"] == "signer-missing"
    assert f"securesystemslib[{extra}]" in ended.object["error"]["hint"]
    assert not keys.exists()


def test_another_key_than_was_given_gets_no_name(
    keys: Path, tmp_path: Path, bitstation: Bitstation
) -> None:
    private, _public = open_file(tmp_path / "other", "owner-1")
    _private, false = open_file(tmp_path / "other", "owner-2")
    words = ("--signer", f"owner-1=file2:{private.as_posix()}", "--public", f"owner-1={false}")
    assert bitstation("keys", "init", "--keys", keys, *words).code == 31
    assert not keys.exists()


def test_a_cloud_that_signs_with_another_key_is_refused(
    cloud: type[Cloud], keys: Path, tmp_path: Path, bitstation: Bitstation
) -> None:
    _private, public = open_file(tmp_path / "other", "owner-1")
    words = ("--signer", "owner-1=awskms:owner-1", "--public", f"owner-1={public}")
    ended = bitstation("keys", "init", "--keys", keys, *words)
    assert ended.code == 31
    assert "awskms" in ended.err
    assert not keys.exists()


def test_a_cloud_that_fails_fails_the_command_only(
    cloud: type[Cloud], keys: Path, bitstation: Bitstation
) -> None:
    words = [word for name in NAMES for word in ("--signer", f"{name}=awskms:{name}")]
    assert bitstation("keys", "init", "--keys", keys, *words).code == 0
    before = {path.name: path.read_bytes() for path in (keys / "metadata").iterdir()}
    cloud.keys.clear()
    ended = bitstation("keys", "add", "owner-4", "--keys", keys)
    assert ended.code == 31
    assert "KeyError" in ended.err
    assert {path.name: path.read_bytes() for path in (keys / "metadata").iterdir()} == before


def test_a_command_that_failed_half_way_is_given_again(
    cloud: type[Cloud], keys: Path, tmp_path: Path, bitstation: Bitstation
) -> None:
    words = [word for name in NAMES for word in ("--signer", f"{name}=awskms:{name}")]
    last = cloud.keys.pop(NAMES[-1])
    assert bitstation("keys", "init", "--keys", keys, *words).code == 31
    cloud.keys[NAMES[-1]] = last
    assert bitstation("keys", "init", "--keys", keys, *words).code == 0
    # An owner's public half is here, but nobody can sign that he comes.
    _private, public = open_file(tmp_path / "other", "owner-4")
    add = ("keys", "add", "owner-4", "--public", f"owner-4={public}", "--keys", keys)
    owner = cloud.keys.pop("owner-1")
    assert bitstation(*add).code == 31
    cloud.keys["owner-1"] = owner
    assert bitstation(*add).code == 0
    assert "owner-4" in bitstation("keys", "status", "--keys", keys).out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        # Of no scheme that workers can check; of none at all.
        (("--signer", "owner-1=sigstore:?ambient=true"), 31),
        (("--signer", "owner-1=nothing"), 31),
        # Where nobody can be asked for the public half.
        (("--signer", "owner-1=file2:owner.pem"), 31),
        (("--signer", "owner-1=hsm:two"), 31),
        (("--signer", "owner-1"), 2),
        (("--signer", "owner-9=awskms:1"), 2),
        (("--signer", "owner-1=awskms:1", "--signer", "owner-1=awskms:2"), 2),
        (("--public", "owner-1=tool.json"), 31),
    ],
)
def test_what_names_no_key(
    keys: Path,
    tool_folder: Path,
    bitstation: Bitstation,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
) -> None:
    monkeypatch.chdir(tool_folder)
    assert bitstation("keys", "init", "--keys", keys, *words).code == code
    assert not keys.exists()


def test_ids_are_those_that_the_library_gives(cloud: type[Cloud], tmp_path: Path) -> None:
    made = Keyring(tmp_path, lambda _name: "").make("owner-1")
    assert keyid_of(made) == made.keyid
    for signer in cloud.keys.values():
        assert keyid_of(signer.public_key) == signer.public_key.keyid
