"""Plans as people read them: what comes, what stays, what it takes."""

from __future__ import annotations

from bitstation.cli.context import Context
from bitstation.cli.display import duration_text, size_text
from bitstation.core.plan import Plan
from bitstation.core.planning import LAN_BYTES_PER_S, estimate_s
from bitstation.storage.faults import free_bytes
from bitstation.worker.history import known_rate


def show_plan(ctx: Context, plan: Plan) -> None:
    """Print a plan: bytes to fetch, to reuse and to write, room, and how long it may take."""
    _ = ctx.gettext
    before = f"v{plan.from_version}" if plan.from_version else _("none")
    ctx.print(f"{plan.tool_id}: {before} -> v{plan.to_version}")
    for label, files, size_bytes in (
        (_("to download:"), plan.download_files, plan.download_bytes),
        (_("to reuse:"), plan.unchanged_files, plan.reuse_bytes),
    ):
        ctx.print(f"  {label:<18}{files:>7}  {size_text(size_bytes)}")
    ctx.print(f"  {_('to delete:'):<18}{len(plan.deleted):>7}")
    free = size_text(free_bytes(ctx.root.path))
    room = _("{} at most, of {} free").format(size_text(plan.write_bytes), free)
    ctx.print(f"  {_('new disk space:'):<25}  {room}")
    rate = known_rate(ctx.root.tool(plan.tool_id))
    at = _("as measured") if rate else _("assumed")
    rate = rate or LAN_BYTES_PER_S
    took = _("about {}, at {}/s {}").format(
        duration_text(estimate_s(plan, rate)), size_text(rate), at
    )
    ctx.print(f"  {_('time:'):<25}  {took}")
