"""What is published with keys: that they sign is seen before anything is brought."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bitstation.cli import keyring
from bitstation.core.digest import digest_of
from bitstation.testing.local_hq import local_hq
from tests.cli.conftest import Bitstation

MODEL = bytes(range(256)) * 1000


@pytest.fixture
def model(tool_folder: Path) -> Path:
    """A tool with a model, which takes long to bring."""
    (tool_folder / "model.bin").write_bytes(MODEL)
    return tool_folder


def has_model(folder: Path) -> bool:
    return bool(list(folder.rglob(digest_of(MODEL) + "*")))


@pytest.mark.parametrize("passphrase", ["", "wrong"])
def test_nothing_is_brought_to_a_folder_that_could_not_be_signed_then(
    tmp_path: Path,
    model: Path,
    bitstation: Bitstation,
    monkeypatch: pytest.MonkeyPatch,
    passphrase: str,
) -> None:
    monkeypatch.setenv("BITSTATION_PASSPHRASE", "correct horse")
    keys, to = tmp_path / "keys", tmp_path / "mirror"
    assert bitstation("keys", "init", "--keys", keys).code == 0
    publish = ("publish", model, "--to", to, "--keys", keys)
    monkeypatch.setenv("BITSTATION_PASSPHRASE", passphrase)
    assert bitstation(*publish).code == 31
    assert not has_model(to)
    monkeypatch.setenv("BITSTATION_PASSPHRASE", "correct horse")
    online = (keys / "hq-online.pem").rename(tmp_path / "hq-online.pem")
    assert bitstation(*publish).code == 31
    assert not has_model(to)
    online.rename(keys / "hq-online.pem")
    assert bitstation(*publish).code == 0
    assert has_model(to)
    # Guides may come later: what is there is signed, and needs no passphrase.
    monkeypatch.setenv("BITSTATION_PASSPHRASE", passphrase)
    assert bitstation(*publish).code == 0


def test_nothing_is_brought_to_an_hq_that_could_not_be_signed_then(
    tmp_path: Path, model: Path, bitstation: Bitstation
) -> None:
    data, keys = tmp_path / "data", tmp_path / "keys"
    with local_hq(data) as hq:
        shutil.copytree(data / "keys", keys)
        private = keys / "hq-publisher.pem"
        whole = private.read_bytes()
        private.write_bytes(b"ENCRYPTED")
        publish = ("publish", model, "--hq", hq.url, "--token-file", hq.token_file, "--keys", keys)
        assert bitstation(*publish).code == 31
        assert not has_model(data)
        private.write_bytes(whole)
        assert bitstation(*publish).code == 0
        assert has_model(data)


def test_a_passphrase_is_asked_for_once(
    tmp_path: Path, model: Path, bitstation: Bitstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours may lie between the check and the signature, and nobody be there any more."""
    monkeypatch.setenv("BITSTATION_PASSPHRASE", "correct horse")
    keys = tmp_path / "keys"
    assert bitstation("keys", "init", "--keys", keys).code == 0
    asked = []

    def once(name: str, _ctx: object) -> str:
        asked.append(name)
        return "correct horse"

    monkeypatch.setattr(keyring, "passphrase", once)
    assert bitstation("publish", model, "--to", tmp_path / "mirror", "--keys", keys).code == 0
    assert asked == ["publisher-key"]
