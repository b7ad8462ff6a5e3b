"""Folders of keys as commands are given them: by --keys, passphrases by environment or hand."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bitstation.cli.context import Context

if TYPE_CHECKING:
    from bitstation.trust.keyring import Keyring


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Argument that names a folder of keys."""
    parser.add_argument("--keys", type=Path, metavar="DIR", help="folder of keys (BITSTATION_KEYS)")


def keys_folder(args: argparse.Namespace) -> Path | None:
    """Folder that --keys or BITSTATION_KEYS names."""
    named = getattr(args, "keys", None) or os.environ.get("BITSTATION_KEYS")
    return Path(named).absolute() if named else None


def keyring_of(args: argparse.Namespace, ctx: Context) -> Keyring | None:
    """Keys that sign what is published; None where none are named."""
    folder = keys_folder(args)
    return None if folder is None else open_keyring(folder, ctx)


def open_keyring(folder: Path, ctx: Context) -> Keyring:
    """Keys of a folder; passphrases come from BITSTATION_PASSPHRASE, else a person is asked."""
    from bitstation.trust.keyring import Keyring

    return Keyring(folder, lambda name: passphrase(name, ctx))


def passphrase(name: str, ctx: Context) -> str:
    """Passphrase of a key; empty where nobody can be asked."""
    given = os.environ.get("BITSTATION_PASSPHRASE")
    if given is not None or not sys.stdin.isatty():
        return given or ""
    return getpass.getpass(ctx.gettext("Passphrase of key '{}': ").format(name))
