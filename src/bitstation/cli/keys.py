"""``bitstation keys``: who signs, for owners and publishers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from bitstation.cli.context import Context
from bitstation.cli.join import shown
from bitstation.cli.keyring import add_keys, keys_folder, open_keyring, passphrase
from bitstation.cli.publish import add_hq, open_client
from bitstation.core.digest import digest_of
from bitstation.core.mirror import METADATA
from bitstation.errors import NotSigned, UsageError

if TYPE_CHECKING:
    from bitstation.trust.place import Place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    init = verbs.add_parser("init", help="make the keys of owners, a publisher and an HQ")
    init.add_argument("--owners", default="owner-1,owner-2,owner-3", metavar="A,B,C",
                      help="who hold the root, by name; keep their keys apart")  # fmt: skip
    init.add_argument("--threshold", type=int, default=2, metavar="N", help="owners who must sign")
    init.add_argument("--publisher", default="publisher", metavar="NAME")
    init.add_argument("--tools", default="*", metavar="PATTERN,...",
                      help="tool ids that the publisher may publish")  # fmt: skip
    init.add_argument("--no-passphrase", action="store_true", help="keys lie open on the disk")
    status = verbs.add_parser(
        "status", help="show who signs, how long it holds, and the fingerprint"
    )
    add_hq(status)
    rotate = verbs.add_parser("rotate", help="put a new key in the place of another")
    rotate.add_argument("old", metavar="OLD", help="name of an owner's, publisher's or HQ's key")
    rotate.add_argument("new", metavar="NEW", help="name of the new key, made where it is lacking")
    add = verbs.add_parser("add", help="add an owner, or a publisher")
    add.add_argument("name", metavar="KEY")
    add.add_argument("--publisher", metavar="NAME", help="of whom it is the key")
    add.add_argument("--tools", default="*", metavar="PATTERN,...")
    revoke = verbs.add_parser("revoke", help="take an owner's key, or a publisher, out")
    revoke.add_argument("name", metavar="KEY_OR_PUBLISHER")
    for verb in verbs.choices.values():
        add_keys(verb)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Run the verb."""
    verbs: dict[str, Callable[[argparse.Namespace, Context], int]] = {
        "init": _init,
        "status": _status,
        "rotate": _rotate,
        "add": _add,
        "revoke": _revoke,
    }
    return verbs[args.verb](args, ctx)


def _place(args: argparse.Namespace, ctx: Context) -> Place:
    from bitstation.trust.place import Place
    from bitstation.trust.roles import ONLINE_LIFE

    folder = keys_folder(args)
    if folder is None:
        raise UsageError(detail=ctx.gettext("no folder of keys is named: give --keys DIR"))
    return Place(folder / METADATA, open_keyring(folder, ctx), ONLINE_LIFE)


def _init(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.ceremony import Roster

    place = _place(args, ctx)
    if place.exists:
        raise UsageError(detail=ctx.gettext("there are keys in {}").format(place.keyring.folder))
    owners = tuple(filter(None, args.owners.split(",")))
    roster = Roster(
        owners,
        args.threshold,
        args.publisher,
        f"{args.publisher}-key",
        "hq-online",
        tuple(args.tools.split(",")),
    )
    roster.check()
    for name in (*owners, roster.publisher_key):
        place.keyring.make(name, "" if args.no_passphrase else _new_passphrase(name, ctx))
    # HQ signs by itself, every day: nobody is there to be asked.
    place.keyring.make(roster.online_key)
    place.found(roster)
    _ = ctx.gettext
    digest = digest_of(place.first_root())
    ctx.json({"keys": str(place.keyring.folder), "root_fingerprint": digest})
    ctx.print("✓ " + _("keys made in {}").format(place.keyring.folder))
    ctx.print(_("Fingerprint of the root, for 'bitstation join':\n  {}").format(shown(digest)))
    ctx.print(_("Next:"))
    ctx.print("  " + _("bitstation hq serve --data DIR --keys {}").format(place.keyring.folder))
    ctx.print("  " + _("then carry each owner's key (NAME.pem) to a place of its own"))
    return 0


def _new_passphrase(name: str, ctx: Context) -> str:
    first = passphrase(name, ctx)
    if not first:
        text = ctx.gettext("key '{}' needs a passphrase: BITSTATION_PASSPHRASE, or --no-passphrase")
        raise UsageError(detail=text.format(name))
    if "BITSTATION_PASSPHRASE" not in os.environ and passphrase(name, ctx) != first:
        raise UsageError(detail=ctx.gettext("the two passphrases differ"))
    return first


def _status(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.believed import ReadMetadata
    from bitstation.trust.roster import roster_of
    from bitstation.trust.walk import newest_root

    client = open_client(args, ctx) if keys_folder(args) is None else None
    try:
        read: ReadMetadata = client.metadata if client else _place(args, ctx).read
        root = newest_root(read)
        if root is None:
            raise NotSigned(source=client.name if client else str(keys_folder(args)))
        rows = roster_of(root, read)
    finally:
        if client:
            client.close()
    digest = digest_of(root)
    ctx.json({"root_fingerprint": digest, "roles": rows})
    ctx.print(ctx.gettext("Root {}").format(shown(digest)))
    for row in rows:
        text = ctx.gettext("{}: {} of {}; until {}")
        holders = ", ".join(row.keys)
        ctx.print(
            "  " + text.format(row.role, row.threshold, holders, row.expires.date().isoformat())
        )
        if row.tools:
            ctx.print("      " + ctx.gettext("tools: {}").format(", ".join(row.tools)))
    return 0


def _rotate(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.changes import change_root, rekey_publisher, replace_key
    from bitstation.trust.roles import ONLINE_ROLES, OWNER_ROLES
    from bitstation.trust.roster import roles_of_key

    place = _place(args, ctx)
    old = place.keyring.public(args.old)
    roles = roles_of_key(place.chain(), old.keyid)
    if not roles:
        raise UsageError(detail=ctx.gettext("key '{}' signs nothing").format(args.old))
    if args.new not in place.keyring.names:
        place.keyring.make(args.new, _passphrase_like(args.old, args.new, place, ctx))
    new = place.keyring.public(args.new)
    if roles[0] in (*OWNER_ROLES, *ONLINE_ROLES):
        edit = replace_key(roles, old.keyid, new)
        place.change(lambda chain, keys, now: change_root(chain, keys, edit, now))
    else:
        place.change(lambda chain, keys, now: rekey_publisher(chain, keys, roles[0], args.new, now))
    return _done(place, ctx)


def _passphrase_like(old: str, new: str, place: Place, ctx: Context) -> str:
    """A passphrase for a new key where the one before it had one: HQ's own signs unattended."""
    return _new_passphrase(new, ctx) if place.keyring.is_sealed(old) else ""


def _add(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.changes import admit, change_publishers, change_root, replace_key
    from bitstation.trust.roles import OWNER_ROLES

    place = _place(args, ctx)
    if args.name not in place.keyring.names:
        place.keyring.make(args.name, _new_passphrase(args.name, ctx))
    key = place.keyring.public(args.name)
    if args.publisher:
        entry = admit(args.publisher, key, tuple(args.tools.split(",")))
        place.change(lambda chain, keys, now: [change_publishers(chain, keys, entry, now)])
    else:
        edit = replace_key(OWNER_ROLES, None, key)
        place.change(lambda chain, keys, now: change_root(chain, keys, edit, now))
    return _done(place, ctx)


def _revoke(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.changes import change_publishers, change_root, dismiss, replace_key
    from bitstation.trust.roles import OWNER_ROLES

    place = _place(args, ctx)
    if args.name in place.keyring.names:
        edit = replace_key(OWNER_ROLES, place.keyring.public(args.name).keyid, None)
        place.change(lambda chain, keys, now: change_root(chain, keys, edit, now))
    else:
        leaving = dismiss(args.name)
        place.change(lambda chain, keys, now: [change_publishers(chain, keys, leaving, now)])
    return _done(place, ctx)


def _done(place: Place, ctx: Context) -> int:
    digest = digest_of(place.first_root())
    ctx.json({"root_fingerprint": digest})
    ctx.print("✓ " + ctx.gettext("signed; the root is now {}").format(shown(digest)))
    return 0
