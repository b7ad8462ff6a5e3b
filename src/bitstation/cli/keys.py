"""``bitstation keys``: who signs, for owners and publishers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bitstation.cli.context import Context
from bitstation.cli.drafts import hand_out, lines_of, sign
from bitstation.cli.join import shown
from bitstation.cli.keyring import (
    add_elsewhere,
    add_keys,
    keys_folder,
    open_keyring,
    passphrase,
    take_elsewhere,
)
from bitstation.cli.publish import add_hq, open_client
from bitstation.core.digest import digest_of
from bitstation.core.mirror import METADATA
from bitstation.errors import NotSigned, UsageError

if TYPE_CHECKING:
    from bitstation.trust.draft import Draft
    from bitstation.trust.draft_folder import DraftFolder
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
    new = verbs.add_parser("new", help="make a key here; others get its public half, NAME.pub")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--no-passphrase", action="store_true", help="keys lie open on the disk")
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
    sign = verbs.add_parser("sign", help="see what a draft changes, and sign it with the keys here")
    sign.add_argument("draft", type=Path, metavar="DRAFT",
                      help="folder of a change that others must sign, too")  # fmt: skip
    for verb in (init, rotate, add):
        add_elsewhere(verb)
    for verb in verbs.choices.values():
        add_keys(verb)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Run the verb."""
    verbs: dict[str, Callable[[argparse.Namespace, Context], int]] = {
        "init": _init,
        "new": _new,
        "status": _status,
        "rotate": _rotate,
        "add": _add,
        "revoke": _revoke,
        "sign": _sign,
    }
    return verbs[args.verb](args, ctx)


def _place(args: argparse.Namespace, ctx: Context) -> Place:
    from bitstation.trust.place import Place
    from bitstation.trust.roles import ONLINE_LIFE

    folder = keys_folder(args)
    if folder is None:
        raise UsageError(detail=ctx.gettext("no folder of keys is named: give --keys DIR"))
    return Place(folder / METADATA, open_keyring(folder, ctx), ONLINE_LIFE)


def _changing(args: argparse.Namespace, ctx: Context) -> Place:
    """The place, when no earlier change of it waits to be signed."""
    place = _place(args, ctx)
    if (folder := _draft_folder(place)).exists:
        text = ctx.gettext("a change waits in {}: sign it, or delete that folder to give it up")
        raise UsageError(detail=text.format(folder.path))
    return place


def _draft_folder(place: Place) -> DraftFolder:
    from bitstation.trust.draft_folder import DraftFolder

    return DraftFolder(place.keyring.folder / "draft")


def _init(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.ceremony import Roster

    place = _changing(args, ctx)
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
    take_elsewhere(args, place.keyring, *owners, roster.publisher_key, roster.online_key)
    for name in (*owners, roster.publisher_key):
        if name not in place.keyring.names:
            place.keyring.make(name, "" if args.no_passphrase else _new_passphrase(name, ctx))
    # HQ's own, made there, has none: it signs every day, and nobody is there to be asked.
    if draft := place.found(roster):
        return hand_out(draft, _draft_folder(place), ctx)
    return _tell_begun(place, ctx)


def _tell_begun(place: Place, ctx: Context) -> int:
    _ = ctx.gettext
    digest = digest_of(place.first_root())
    ctx.json({"keys": str(place.keyring.folder), "root_fingerprint": digest})
    ctx.print("✓ " + _("keys made in {}").format(place.keyring.folder))
    ctx.print(_("Fingerprint of the root, for 'bitstation join':\n  {}").format(shown(digest)))
    ctx.print(_("Next:"))
    ctx.print("  " + _("bitstation hq serve --data DIR --keys {}").format(place.keyring.folder))
    ctx.print("  " + _("then carry each owner's key (NAME.pem) to a place of its own"))
    return 0


def _new(args: argparse.Namespace, ctx: Context) -> int:
    keyring = _place(args, ctx).keyring
    keyring.make(args.name, "" if args.no_passphrase else _new_passphrase(args.name, ctx))
    path = keyring.public_file(args.name)
    ctx.json({"public": str(path)})
    ctx.print("✓ " + ctx.gettext("key made; its public half, for others: {}").format(path))
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
    for line in lines_of(rows, ctx):
        ctx.print("  " + line)
    return 0


def _rotate(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.changes import change_root, rekey_publisher, replace_key
    from bitstation.trust.roles import ONLINE_ROLES, OWNER_ROLES
    from bitstation.trust.roster import roles_of_key

    place = _changing(args, ctx)
    old = place.keyring.public(args.old)
    roles = roles_of_key(place.chain(), old.keyid)
    if not roles:
        raise UsageError(detail=ctx.gettext("key '{}' signs nothing").format(args.old))
    take_elsewhere(args, place.keyring, args.new)
    if args.new not in place.keyring.names:
        place.keyring.make(args.new, _passphrase_like(args.old, args.new, place, ctx))
    new = place.keyring.public(args.new)
    if roles[0] in (*OWNER_ROLES, *ONLINE_ROLES):
        edit = replace_key(roles, old.keyid, new)
        draft = place.change(lambda chain, keys, now: change_root(chain, keys, edit, now))
    else:
        draft = place.change(
            lambda chain, keys, now: rekey_publisher(chain, keys, roles[0], args.new, now)
        )
    return _done(place, draft, ctx)


def _passphrase_like(old: str, new: str, place: Place, ctx: Context) -> str:
    """A passphrase for a new key where the one before it had one: HQ's own signs unattended."""
    return _new_passphrase(new, ctx) if place.keyring.is_sealed(old) else ""


def _add(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.changes import admit_publisher, change_root, replace_key
    from bitstation.trust.roles import OWNER_ROLES

    place = _changing(args, ctx)
    take_elsewhere(args, place.keyring, args.name)
    if args.name not in place.keyring.names:
        place.keyring.make(args.name, _new_passphrase(args.name, ctx))
    if args.publisher:
        who, key, tools = args.publisher, args.name, tuple(args.tools.split(","))
        draft = place.change(
            lambda chain, keys, now: admit_publisher(chain, keys, who, key, tools, now)
        )
    else:
        edit = replace_key(OWNER_ROLES, None, place.keyring.public(args.name))
        draft = place.change(lambda chain, keys, now: change_root(chain, keys, edit, now))
    return _done(place, draft, ctx)


def _revoke(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.changes import change_publishers, change_root, dismiss, replace_key
    from bitstation.trust.roles import OWNER_ROLES, ROOT
    from bitstation.trust.roster import roles_of_key

    place = _changing(args, ctx)
    if args.name in place.keyring.names:
        keyid = place.keyring.public(args.name).keyid
        if ROOT not in roles_of_key(place.chain(), keyid):
            raise UsageError(detail=ctx.gettext("key '{}' is no owner's").format(args.name))
        edit = replace_key(OWNER_ROLES, keyid, None)
        draft = place.change(lambda chain, keys, now: change_root(chain, keys, edit, now))
    else:
        leaving = dismiss(args.name)
        draft = place.change(
            lambda chain, keys, now: [change_publishers(chain, keys, leaving, now)]
        )
    return _done(place, draft, ctx)


def _sign(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.trust.draft_folder import DraftFolder

    place, folder = _place(args, ctx), DraftFolder(args.draft.absolute())
    if not folder.exists:
        raise UsageError(detail=ctx.gettext("there is no draft in {}").format(args.draft))
    is_first = not place.exists
    if not sign(folder, place, ctx):
        return 0
    return _tell_begun(place, ctx) if is_first else _done(place, None, ctx)


def _done(place: Place, draft: Draft | None, ctx: Context) -> int:
    if draft is not None:
        return hand_out(draft, _draft_folder(place), ctx)
    digest = digest_of(place.first_root())
    ctx.json({"root_fingerprint": digest})
    ctx.print("✓ " + ctx.gettext("signed; the root is now {}").format(shown(digest)))
    return 0
