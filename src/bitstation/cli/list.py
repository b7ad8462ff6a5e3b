"""``bitstation list``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context, add_source
from bitstation.cli.display import size_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, local=False)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Show what HQ offers and requires."""
    client = ctx.hq_client()
    try:
        tools = client.tools()
    finally:
        client.close()
    ctx.json({"tools": tools})
    _ = ctx.gettext
    if not tools:
        ctx.print(_("HQ offers nothing yet"))
    for tool in tools:
        ctx.print(tool.tool_id)
        required = {row.version: row.channel for row in tool.required}
        for release in tool.releases:
            mark = (
                _("required ({})").format(required[release.version])
                if (release.version in required)
                else ""
            )
            # A static mirror does not say it.
            size = size_text(release.size) if release.files else ""
            row = f"  v{release.version:<16} {release.manifest_hash[:12]}  {size:>10}  {mark}"
            ctx.print(row.rstrip())
    return 0
