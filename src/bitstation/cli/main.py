"""``bitstation``: finds the command, imports only that one, and turns errors into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# Command -> (module, what it does). Only the module of the command given is imported.
COMMANDS = {
    "validate": ("validate", "check tool folders, naming every fault at once"),
    "manifest": ("manifest", "write manifest.json of tool folders, or verify manifests"),
    "models": ("models", "bring the models that models.lock.json names"),
    "pack": ("pack", "make packages and the catalog"),
    "diff": ("diff", "show what a worker on A would download for B"),
    "publish": ("publish", "bring releases to an HQ or a folder, only what it lacks"),
    "bundle": ("bundle", "carry a release in one file, for machines without a network"),
    "hq": ("hq", "serve an HQ, import into it, require a release"),
    "keys": ("keys", "say who signs: owners, publishers, HQ"),
    "join": ("join", "pin whose releases this machine takes"),
    "list": ("list", "show what an HQ offers"),
    "update": ("update", "install or update tools"),
    "rollback": ("rollback", "return to an earlier release, without a download"),
    "status": ("status", "show what is installed and in which state"),
    "history": ("history", "show what was done to tools"),
    "verify": ("verify", "prove the files of an installed tool"),
    "repair": ("repair", "mend damaged files of an installed tool"),
    "gc": ("gc", "remove what no kept release needs"),
    "uninstall": ("uninstall", "remove a tool; its user data stays"),
    "eligibility": ("eligibility", "may this machine take network jobs of a tool"),
    "adopt": ("adopt", "let releases use models that are on this machine already"),
    "demo": ("demo", "see the whole story on this machine, leaving nothing behind"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        from bitstation import __version__

        print(f"bitstation {__version__}")
        return 0
    from bitstation.cli.dispatch import dispatch

    return dispatch(words)
