"""Folders of keys as commands are given them: by --keys, passphrases by environment or hand."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bitstation.cli.context import Context
from bitstation.errors import UsageError

if TYPE_CHECKING:
    from bitstation.trust.keyring import Keyring


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Argument that names a folder of keys."""
    parser.add_argument("--keys", type=Path, metavar="DIR", help="folder of keys (BITSTATION_KEYS)")


def add_elsewhere(parser: argparse.ArgumentParser) -> None:
    """Arguments that name keys which are not made here."""
    parser.add_argument("--signer", action="append", default=[], metavar="NAME=URI",
                        help="key in an HSM, KMS or Vault, as hsm:2 or awskms:ID")  # fmt: skip
    parser.add_argument("--public", action="append", default=[], metavar="NAME=FILE",
                        help="public half of a key that stays on another machine")  # fmt: skip


def take_elsewhere(args: argparse.Namespace, keyring: Keyring, *names: str) -> None:
    """Take those keys of a command into the list that its arguments name as kept elsewhere."""
    from bitstation.trust.keyring import read_public

    uris, files = _pairs(args.signer), _pairs(args.public)
    for name in {**uris, **files}:
        if name not in names:
            raise UsageError(detail=f"{name!r} is no key of this command: {', '.join(names)}")
        public = read_public(Path(files[name]), name) if name in files else None
        keyring.add(name, uris.get(name, ""), public)


def _pairs(words: list[str]) -> dict[str, str]:
    """What ``NAME=VALUE`` says. Raises UsageError."""
    pairs = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not (sign and value) or name in pairs:
            raise UsageError(detail=f"{word!r} is not NAME=VALUE, or names a key twice")
        pairs[name] = value
    return pairs


def keys_folder(args: argparse.Namespace) -> Path | None:
    """Folder that --keys or BITSTATION_KEYS names."""
    named = getattr(args, "keys", None) or os.environ.get("BITSTATION_KEYS")
    return Path(named).absolute() if named else None


def keyring_of(args: argparse.Namespace, ctx: Context) -> Keyring | None:
    """Keys that sign what is published; None where none are named."""
    folder = keys_folder(args)
    return None if folder is None else open_keyring(folder, ctx)


def open_keyring(folder: Path, ctx: Context) -> Keyring:
    """Keys of a folder; passphrases come from BITSTATION_PASSPHRASE, else a person is asked.

    Once for each key: nobody may be there any more when hours later it signs.
    """
    from bitstation.trust.keyring import Keyring

    return Keyring(folder, cache(lambda name: passphrase(name, ctx)))


def passphrase(name: str, ctx: Context) -> str:
    """Passphrase of a key; empty where nobody can be asked."""
    given = os.environ.get("BITSTATION_PASSPHRASE")
    if given is not None or not sys.stdin.isatty():
        return given or ""
    return getpass.getpass(ctx.gettext("Passphrase of key '{}': ").format(name))
