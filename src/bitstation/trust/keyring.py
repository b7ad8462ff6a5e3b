"""Signing keys by the names that people gave them, and the files that hold them.

A key is an Ed25519 key in a PKCS#8 file, with a passphrase or not; or lives elsewhere (HSM, KMS,
Vault), named by the URI that securesystemslib knows it by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from bitstation.core.digest import digest_of
from bitstation.errors import KeyRefused, StoreCorrupt
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.locks import held_lock
from bitstation.trust.elsewhere import Ask, find_public, open_signer, prove

INDEX_NAME = "keys.json"
MAX_FILE_BYTES = 1 << 20
PUBLIC_SUFFIX = ".pub"
NAME_FIELD = "x-bitstation-name"
"""Field of a public key: what people call it."""

_LOCK_NAME = "keys.lock"
_LOCK_WAIT_S = 10.0
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class _Row(msgspec.Struct, frozen=True):
    name: str
    public: dict[str, object]
    keyid: str
    uri: str = ""
    """Where the key lives; empty: in the file of its name beside."""


class Keyring:
    """The keys below a folder; several processes may change them.

    Raises KeyRefused, StoreCorrupt, StoreError, StoreLocked where another changes them for long.
    """

    def __init__(self, folder: Path, ask: Ask, disk: Disk | None = None) -> None:
        self.folder = folder
        self._ask = ask
        self._disk = disk or Disk()
        self.refresh()

    def refresh(self) -> None:
        """See what the list holds by now: another process may have changed it."""
        self._rows = {row.name: row for row in self._load()}

    @property
    def names(self) -> list[str]:
        """What the keys are called."""
        return list(self._rows)

    def public(self, name: str) -> Key:
        """Public half of a key; its NAME_FIELD says the name."""
        row = self._row(name)
        return Key.from_dict(row.keyid, {**row.public})

    def make(self, name: str, passphrase: str = "") -> Key:
        """A new key in a file that only its owner may read, and its public half in one for others.

        Crash: files that no name leads to.
        """
        _check_name(name)
        private = Ed25519PrivateKey.generate()
        sealing: KeySerializationEncryption = NoEncryption()
        if passphrase:
            sealing = BestAvailableEncryption(passphrase.encode())
        data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with self._changing(), disk_errors(self.folder):
            self._check_free(name)
            self._disk.write_file(self._file(name), data, private=True)
            self._disk.write_file(self.public_file(name), public)
            return self._add(name, SSlibKey.from_crypto(private.public_key()), "")

    def add(self, name: str, uri: str, public: Key | None = None) -> Key:
        """Name a key that lives elsewhere; without a URI it signs on another machine only.

        Where no public half is given it is asked for. The same key again changes nothing. Raises
        KeyRefused when another key is there.
        """
        _check_name(name)
        if public is None:
            uri, public = find_public(name, uri, self._ask)
        known = self._rows.get(name)
        if known is not None:
            if (known.keyid, known.uri) != (public.keyid, uri):
                raise KeyRefused(name=name, detail="there is a key of that name")
            return self.public(name)
        if uri:
            prove(name, uri, public, self._ask)
        with self._changing():
            self._check_free(name)
            return self._add(name, public, uri)

    def public_file(self, name: str) -> Path:
        """Where the public half of a key is that was made here."""
        return self.folder / f"{name}{PUBLIC_SUFFIX}"

    def signer(self, name: str) -> Signer:
        """What signs with a key; the passphrase is asked for when the file has one."""
        row, public = self._row(name), self.public(name)
        if row.uri:
            return open_signer(name, row.uri, public, self._ask)
        try:
            return CryptoSigner(self._private(name), public)  # type: ignore[arg-type]
        except (ValueError, TypeError, UnsupportedLibraryError) as error:
            raise KeyRefused(name=name, detail=str(error)) from error

    def is_sealed(self, name: str) -> bool:
        """Say whether a key's file has a passphrase, as one that was carried away is held to have.

        Of a key that lives elsewhere, no.
        """
        if self._row(name).uri:
            return False
        path = self._file(name)
        with disk_errors(path):
            return not path.is_file() or b"ENCRYPTED" in path.read_bytes()[:MAX_FILE_BYTES]

    def find(self, keyids: Iterable[str]) -> list[str]:
        """Names of the keys here that have one of these ids, but for those carried away."""
        wanted = set(keyids)
        rows = [row for row in self._rows.values() if row.keyid in wanted]
        return [row.name for row in rows if row.uri or self._file(row.name).is_file()]

    def learn(self, keys: Iterable[Key]) -> None:
        """Know keys by the names they carry, where their files lie here and no list has them.

        So owners keep one file each. It is not written down: what the file holds is not seen yet.
        """
        for key in keys:
            name = name_of(key)
            if name not in self._rows and self._file(name).is_file():
                self._rows[name] = _Row(name, key.to_dict(), key.keyid)

    def forget(self, name: str) -> None:
        """Remove a key from this folder; what it signed stays signed."""
        with self._changing(), disk_errors(self.folder):
            row = self._row(name)
            del self._rows[name]
            self._save()
            if not row.uri:
                self._disk.remove(self._file(name))
                self._disk.remove(self.public_file(name))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only one who changes the list, with what it holds by now."""
        with disk_errors(self.folder):
            self._disk.make_dir(self.folder, private=True)
        with held_lock(self.folder / _LOCK_NAME, _LOCK_WAIT_S):
            self.refresh()
            yield

    def _private(self, name: str) -> object:
        with disk_errors(self._file(name)):
            try:
                data = self._file(name).read_bytes()[:MAX_FILE_BYTES]
            except FileNotFoundError as error:
                raise KeyRefused(name=name, detail=f"{self._file(name)} is not there") from error
        is_sealed = b"ENCRYPTED" in data
        passphrase = self._ask(name).encode() if is_sealed else None
        if is_sealed and not passphrase:
            raise KeyRefused(name=name, detail="its passphrase is needed")
        try:
            return load_pem_private_key(data, passphrase)
        except (ValueError, TypeError) as error:
            raise KeyRefused(name=name, detail="wrong passphrase, or no key file") from error

    def _add(self, name: str, public: Key, uri: str) -> Key:
        document = {**public.to_dict(), NAME_FIELD: name}
        self._rows[name] = _Row(name, document, public.keyid, uri)
        self._save()
        return self.public(name)

    def _check_free(self, name: str) -> None:
        if name in self._rows or self._file(name).exists():
            raise KeyRefused(name=name, detail="there is a key of that name")

    def _row(self, name: str) -> _Row:
        if name not in self._rows:
            raise KeyRefused(name=name, detail=f"there is no such key in {self.folder}")
        return self._rows[name]

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def _load(self) -> list[_Row]:
        path = self.folder / INDEX_NAME
        with disk_errors(path):
            try:
                with path.open("rb") as file:
                    data = file.read(MAX_FILE_BYTES)
            except FileNotFoundError:
                return []
        try:
            return msgspec.json.decode(data, type=list[_Row])
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise StoreCorrupt(path=str(path), detail=str(error)) from error

    def _save(self) -> None:
        data = msgspec.json.format(msgspec.json.encode(list(self._rows.values())))
        with disk_errors(self.folder):
            self._disk.write_file(self.folder / INDEX_NAME, data, private=True)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise KeyRefused(name=name, detail="a key's name is a-z, 0-9, _ . - (at most 64)")


def read_public(path: Path, name: str) -> Key:
    """Public key in a PEM file, for a key of that name. Raises KeyRefused, StoreError."""
    with disk_errors(path), path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES)
    try:
        return SSlibKey.from_crypto(load_pem_public_key(data))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyRefused(name=name, detail=f"{path} holds no public key: {error}") from error


def keyid_of(key: Key) -> str:
    """Id that a key must have: by it, old and new are told apart. Source: TUF 1.0.33, 4.2."""
    facts = {"keytype": key.keytype, "scheme": key.scheme, "keyval": key.keyval}
    return digest_of((encode_canonical(facts) or "").encode())


def name_of(key: Key) -> str:
    """What people call a public key; the start of its id where nobody named it."""
    named = key.unrecognized_fields.get(NAME_FIELD)
    return named if isinstance(named, str) and _NAME.fullmatch(named) else key.keyid[:8]
