"""What owners read of a draft before they sign it: who signs what, old against new."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bitstation.cli.context import Context
from bitstation.cli.join import shown
from bitstation.core.digest import digest_of
from bitstation.errors import UsageError

if TYPE_CHECKING:
    from bitstation.trust.draft import Draft
    from bitstation.trust.draft_folder import DraftFolder
    from bitstation.trust.place import Place
    from bitstation.trust.roster import RoleRow

PARTIAL = 70
"""Exit code of a change that waits for others."""


def lines_of(rows: Sequence[RoleRow], ctx: Context) -> list[str]:
    """Roles as people read them."""
    lines = []
    for row in rows:
        text = ctx.gettext("{}: {} of {}").format(row.role, row.threshold, ", ".join(row.keys))
        if row.expires:
            text += ctx.gettext("; until {}").format(row.expires.date().isoformat())
        lines.append(text)
        if row.tools:
            lines.append("    " + ctx.gettext("tools: {}").format(", ".join(row.tools)))
    return lines


def hand_out(draft: Draft, folder: DraftFolder, ctx: Context) -> int:
    """Write a draft for the owners who have still to sign; its exit code."""
    draft.check()
    folder.save(draft)
    ctx.json({"draft": str(folder.path), "waits": draft.waits()})
    _ = ctx.gettext
    ctx.print(_("nothing is changed yet: too few of those who must sign have their keys here"))
    _print_waits(draft, ctx)
    ctx.print(_("Give each of them the folder {}; there:").format(folder.path))
    ctx.print("  bitstation keys sign " + folder.path.name + " --keys DIR")
    ctx.print(_("then bring it back, and sign it here, too: that takes it in"))
    return PARTIAL


def sign(folder: DraftFolder, place: Place, ctx: Context) -> bool:
    """Show a draft, ask, sign it and take it in where that may be; say whether it was taken in.

    Raises KeyRefused where no key here may sign and nothing else is to be done.
    """
    draft = folder.load()
    place.check_draft(draft)
    _show(draft, ctx)
    if not ctx.confirm(ctx.gettext("Is this what shall be signed?")):
        raise UsageError(detail=ctx.gettext("nothing was signed: answer yes, or give --yes"))
    if draft.waits():
        draft = draft.sign(place.keyring)
        folder.save(draft)
    if draft.waits() or not place.is_of(draft):
        _tell(draft, folder, ctx)
        return False
    place.take_in(draft)
    folder.remove(draft)
    return True


def _show(draft: Draft, ctx: Context) -> None:
    from bitstation.trust.roster import rows_of

    now, then = draft.now(), draft.then()
    if now is None:
        ctx.say(ctx.gettext("The first metadata of a place:"))
    else:
        digest = shown(digest_of(draft.before[0].data))
        ctx.say(
            ctx.gettext("What is signed now ('-') and then ('+'), under root {}:").format(digest)
        )
    before = lines_of(rows_of(*now, {}), ctx) if now else []
    for line in difflib.ndiff(before, lines_of(rows_of(*then, draft.expiries()), ctx)):
        if not line.startswith("?"):
            ctx.say("  " + line)


def _tell(draft: Draft, folder: DraftFolder, ctx: Context) -> None:
    _ = ctx.gettext
    ctx.json({"draft": str(folder.path), "waits": draft.waits()})
    if draft.waits():
        ctx.print("✓ " + _("signed; it still waits:"))
        _print_waits(draft, ctx)
    else:
        ctx.print(
            "✓ "
            + _("signed by all who must; bring {} back to where it was made").format(folder.path)
        )


def _print_waits(draft: Draft, ctx: Context) -> None:
    for wait in draft.waits():
        text = ctx.gettext("{}: {} more of {}")
        ctx.print("  " + text.format(wait.role, wait.missing, ", ".join(wait.keys)))
