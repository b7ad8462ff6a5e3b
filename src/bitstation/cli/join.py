"""``bitstation join``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.core.digest import Digest, digest_of
from bitstation.core.mirror import METADATA
from bitstation.errors import NotSigned, SourceError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "where", metavar="WHERE", help="HQ, a mirror, signed packages, or a file with the root"
    )
    parser.add_argument(
        "--fingerprint",
        metavar="SHA256",
        help="what 'bitstation keys status' shows there; without it a person is asked",
    )


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Pin whose releases this machine takes. Other keys are never pinned over these."""
    from bitstation.trust.pins import Pins

    root = _root_of(args.where, ctx)
    pins = Pins(ctx.root.pins)
    is_known = pins.load() is not None
    offered = digest_of(root)
    if not (is_known or args.fingerprint or _confirmed(args.where, offered, ctx)):
        raise UsageError(
            detail=ctx.gettext("not joined: compare the fingerprint, or give it by --fingerprint")
        )
    digest = pins.pin(root, source=args.where, fingerprint=args.fingerprint)
    ctx.json({"root": str(ctx.root.path), "fingerprint": digest})
    _ = ctx.gettext
    ctx.print("✓ " + _("joined: this machine takes releases signed under root {}").format(digest))
    return 0


def _confirmed(where: str, digest: Digest, ctx: Context) -> bool:
    ctx.say(ctx.gettext("{} shows a root with the fingerprint\n  {}").format(where, shown(digest)))
    return ctx.confirm(ctx.gettext("Is it the one that its owner told you?"))


def shown(digest: Digest) -> str:
    """A fingerprint in groups, as two people compare it."""
    return " ".join(digest[at : at + 8] for at in range(0, len(digest), 8))


def _root_of(where: str, ctx: Context) -> bytes:
    """The newest root of a source, or the one in a file. Raises NotSigned, SourceError."""
    from bitstation.trust.roles import MAX_BYTES, ROOT

    path = Path(where)
    if path.suffix == ".json" and path.is_file():
        try:
            with path.open("rb") as file:
                return file.read(MAX_BYTES[ROOT])
        except OSError as error:
            raise SourceError(source=where, detail=error.strerror or str(error)) from error
    root = _root_in(path, where) or _root_from(where)
    if root is None:
        raise NotSigned(source=where)
    return root


def _root_in(folder: Path, where: str) -> bytes | None:
    """Root of a folder with signed packages or releases, which alone is no source."""
    from bitstation.transport.local_file import read_metadata_file
    from bitstation.trust.walk import newest_root

    return newest_root(
        lambda name, most_bytes: read_metadata_file(folder / METADATA, name, most_bytes, where)
    )


def _root_from(where: str) -> bytes | None:
    from bitstation.transport.open import open_source
    from bitstation.trust.walk import newest_root

    source = open_source(where if Path(where).exists() or "://" in where else f"http://{where}")
    try:
        return newest_root(source.read_metadata)
    finally:
        source.close()
