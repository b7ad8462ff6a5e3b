"""Keys that never lie in a file here: in an HSM, a cloud's KMS or a Vault, named by a URI.

securesystemslib speaks with them; here its schemes are told what to ask, and its errors are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, Key, Signer, SSlibKey

from bitstation.errors import KeyRefused, SignerMissing

Ask = Callable[[str], str]
"""Asks a person for the passphrase of the key of a name; empty: none."""

_EXTRAS = {"hv": "vault"}
"""Extras of securesystemslib; the others are called as their scheme."""
_PROBE = b"bitstation: is this the key?"
"""Signed to see whose key it is: these bytes are no metadata, whoever gets hold of them."""


def open_signer(name: str, uri: str, public: Key, ask: Ask) -> Signer:
    """What signs with a key that lives elsewhere. Raises KeyRefused, SignerMissing."""
    kind = _kind(name, uri)
    signer: Signer = _told(
        name, uri, lambda: kind.from_priv_key_uri(uri, public, lambda _what: ask(name))
    )
    return signer


def find_public(name: str, uri: str, ask: Ask) -> tuple[str, Key]:
    """URI by which a key is found from now on, and its public half, asked for where it lives.

    Raises KeyRefused, also where that cannot be asked for; SignerMissing.
    """
    kind, arguments = _kind(name, uri), _ARGUMENTS.get(uri.partition(":")[0])
    if arguments is None:
        detail = "its public half cannot be asked for there: give it by --public NAME=FILE"
        raise KeyRefused(name=name, detail=detail)
    found_uri, public = _told(name, uri, lambda: kind.import_(**arguments(uri, name, ask)))
    if uri.startswith("hv:") and "/" in uri and found_uri != uri:
        detail = f"only the newest version can be asked for, {found_uri}: give --public NAME=FILE"
        raise KeyRefused(name=name, detail=detail)
    return found_uri, public


def prove(name: str, uri: str, public: Key, ask: Ask) -> None:
    """See that what lives there is this key, and one that workers know. Raises KeyRefused."""
    if not isinstance(public, SSlibKey):
        raise KeyRefused(name=name, detail="workers do not know keys of this kind")
    signer = open_signer(name, uri, public, ask)
    _told(name, uri, lambda: public.verify_signature(signer.sign(_PROBE), _PROBE))


def _kind(name: str, uri: str) -> Any:
    scheme, sign, _rest = uri.partition(":")
    if not sign or scheme not in SIGNER_FOR_URI_SCHEME:
        known = ", ".join(f"{each}:" for each in sorted(SIGNER_FOR_URI_SCHEME))
        raise KeyRefused(name=name, detail=f"{uri!r} is no URI of a key; known are {known}")
    return SIGNER_FOR_URI_SCHEME[scheme]


def _told(name: str, uri: str, act: Callable[[], Any]) -> Any:
    """Do what may fail in as many ways as there are clouds."""
    scheme = uri.partition(":")[0]
    try:
        return act()
    except UnsupportedLibraryError as error:
        extra = _EXTRAS.get(scheme, scheme)
        raise SignerMissing(name=name, scheme=scheme, detail=str(error), extra=extra) from error
    except Exception as error:
        detail = f"{scheme}: {type(error).__name__}: {error}"
        raise KeyRefused(name=name, detail=detail) from error


def _of_hsm(uri: str, name: str, ask: Ask) -> dict[str, object]:
    parts = urlsplit(uri)
    labels = parse_qs(parts.query).get("label", [])
    return {
        "hsm_keyid": int(parts.path) if parts.path else None,
        "token_label": labels[0] if labels else None,
        "secrets_handler": lambda _what: ask(name),
    }


def _of_azure(uri: str, _name: str, _ask: Ask) -> dict[str, object]:
    parts = urlsplit(uri)
    _root, _keys, key, *_version = parts.path.split("/")
    return {"az_vault_name": parts.netloc.partition(".")[0], "az_key_name": key}


def _of_vault(uri: str, _name: str, _ask: Ask) -> dict[str, object]:
    return {"hv_key_name": uri.partition(":")[2].partition("/")[0]}


_ARGUMENTS: dict[str, Callable[[str, str, Ask], dict[str, object]]] = {
    "hsm": _of_hsm,
    "azurekms": _of_azure,
    "hv": _of_vault,
    "awskms": lambda uri, _name, _ask: {"aws_key_id": uri.partition(":")[2]},
    "gcpkms": lambda uri, _name, _ask: {"gcp_keyid": uri.partition(":")[2]},
}
"""By scheme, what its signer is asked with for the public half of a key."""
