"""Keys that live elsewhere: what each kind of place is asked, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import (
    SIGNER_FOR_URI_SCHEME,
    CryptoSigner,
    Key,
    SecretsHandler,
    Signer,
    SigstoreKey,
)

from bitstation.errors import KeyRefused, SignerMissing
from bitstation.trust.elsewhere import find_public, open_signer, prove

OTHER = CryptoSigner.generate_ed25519()


class Cloud(Signer):
    """Stands where the signer of a real place is registered; remembers what it was asked."""

    signer: ClassVar[CryptoSigner]
    found_uri: ClassVar[str]
    error: ClassVar[Exception | None]
    asked: ClassVar[dict[str, Any]]

    @classmethod
    def import_(cls, **arguments: Any) -> tuple[str, Key]:
        cls.asked = arguments
        if cls.error:
            raise cls.error
        return cls.found_uri, cls.signer.public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Signer:
        cls.asked = {"uri": priv_key_uri, "public": public_key, "secrets": secrets_handler}
        if cls.error:
            raise cls.error
        return cls.signer


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> type[Cloud]:
    for scheme in ("hsm", "awskms", "gcpkms", "azurekms", "hv", "file2"):
        assert scheme in SIGNER_FOR_URI_SCHEME
        monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, scheme, Cloud)
    Cloud.signer, Cloud.found_uri = CryptoSigner.generate_ed25519(), "awskms:found"
    Cloud.error, Cloud.asked = None, {}
    return Cloud


def ask(name: str) -> str:
    return f"passphrase of {name}"


def refused(act: Callable[[], object], reason: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        act()
    assert caught.value.fields["name"] == "ana"
    assert reason in str(caught.value.fields["detail"])


# --- URIs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["", "awskms", "nothing:1", "sigstore:?ambient=true", ":1"])
def test_what_is_no_uri_of_a_key_is_refused_and_the_known_ones_are_named(
    cloud: type[Cloud], monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.delitem(SIGNER_FOR_URI_SCHEME, "sigstore", raising=False)
    for act in (
        lambda: open_signer("ana", uri, OTHER.public_key, ask),
        lambda: find_public("ana", uri, ask),
        lambda: prove("ana", uri, OTHER.public_key, ask),
    ):
        refused(act, "is no URI of a key; known are")
    assert cloud.asked == {}


# --- the public half ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "arguments"),
    [
        ("hsm:2?label=YubiKey", {"hsm_keyid": 2, "token_label": "YubiKey"}),
        ("hsm:", {"hsm_keyid": None, "token_label": None}),
        ("awskms:arn:aws:kms:eu:1:key/2", {"aws_key_id": "arn:aws:kms:eu:1:key/2"}),
        ("gcpkms:projects/p/keyRings/r", {"gcp_keyid": "projects/p/keyRings/r"}),
        ("azurekms://v.vault.azure.net/keys/k", {"az_vault_name": "v", "az_key_name": "k"}),
        ("azurekms://v.vault.azure.net/keys/k/1", {"az_vault_name": "v", "az_key_name": "k"}),
        ("hv:key", {"hv_key_name": "key"}),
    ],
)
def test_a_place_is_asked_for_the_key_that_the_uri_names(
    cloud: type[Cloud], uri: str, arguments: dict[str, object]
) -> None:
    assert find_public("ana", uri, ask) == (cloud.found_uri, cloud.signer.public_key)
    handler = cloud.asked.pop("secrets_handler", None)
    assert cloud.asked == arguments
    assert handler is None or handler("PIN") == "passphrase of ana"


def test_a_file_is_never_asked_for_its_public_half(cloud: type[Cloud]) -> None:
    refused(lambda: find_public("ana", "file2:ana.pem", ask), "give it by --public")
    assert cloud.asked == {}


@pytest.mark.parametrize(
    ("uri", "found"), [("hv:key", "hv:key/3"), ("hv:key/3", "hv:key/3"), ("awskms:a/1", "awskms:b")]
)
def test_the_uri_that_is_kept_is_that_of_what_was_found(
    cloud: type[Cloud], uri: str, found: str
) -> None:
    cloud.found_uri = found
    assert find_public("ana", uri, ask)[0] == found


def test_an_older_version_in_a_vault_is_not_taken_for_the_newest(cloud: type[Cloud]) -> None:
    cloud.found_uri = "hv:key/3"
    refused(lambda: find_public("ana", "hv:key/2", ask), "only the newest version")


@pytest.mark.parametrize("uri", ["hsm:two", "azurekms://vault/keys", "azurekms:key"])
def test_a_uri_that_its_kind_cannot_read_is_refused(cloud: type[Cloud], uri: str) -> None:
    refused(lambda: find_public("ana", uri, ask), "ValueError")


# --- the one who signs ----------------------------------------------------------------------------


def test_the_signer_is_told_the_uri_the_key_and_whom_to_ask(cloud: type[Cloud]) -> None:
    public = cloud.signer.public_key
    assert open_signer("ana", "awskms:1", public, ask) is cloud.signer
    assert (cloud.asked["uri"], cloud.asked["public"]) == ("awskms:1", public)
    assert cloud.asked["secrets"]("PIN") == "passphrase of ana"


def test_what_lives_there_must_be_the_key(cloud: type[Cloud]) -> None:
    prove("ana", "awskms:1", cloud.signer.public_key, ask)
    refused(lambda: prove("ana", "awskms:1", OTHER.public_key, ask), "awskms: ")


def test_a_key_that_workers_could_not_check_is_refused_unasked(cloud: type[Cloud]) -> None:
    strange = SigstoreKey("0" * 64, "sigstore-oidc", "Fulcio", {"identity": "a", "issuer": "b"})
    refused(lambda: prove("ana", "awskms:1", strange, ask), "workers do not know keys of this kind")
    assert cloud.asked == {}


@pytest.mark.parametrize(("scheme", "extra"), [("hv", "vault"), ("awskms", "awskms")])
def test_a_library_that_is_lacking_is_named(cloud: type[Cloud], scheme: str, extra: str) -> None:
    cloud.error = UnsupportedLibraryError("not there")
    for act in (
        lambda: open_signer("ana", f"{scheme}:1", OTHER.public_key, ask),
        lambda: find_public("ana", f"{scheme}:1", ask),
    ):
        with pytest.raises(SignerMissing) as caught:
            act()
        assert caught.value.fields["extra"] == extra


def test_whatever_else_fails_there_is_told_with_its_kind(cloud: type[Cloud]) -> None:
    cloud.error = ConnectionError("no route")
    for act in (
        lambda: open_signer("ana", "awskms:1", OTHER.public_key, ask),
        lambda: find_public("ana", "awskms:1", ask),
        lambda: prove("ana", "awskms:1", OTHER.public_key, ask),
    ):
        refused(act, "awskms: ConnectionError: no route")
