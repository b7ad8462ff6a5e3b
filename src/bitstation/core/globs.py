"""ignore_globs: which unlisted files of a release are carried along rather than set aside.

``**`` spans folders, ``*`` and ``?`` stay inside a name, a pattern without a slash is matched
against the last name, case is ignored. An empty pattern matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from bitstation.core.relpath import fold_key


def matches_any(path: str, globs: Iterable[str]) -> bool:
    """Say whether a relative path matches one of the patterns."""
    key = fold_key(path)
    return any(_compiled(glob).match(key) for glob in globs if glob)


@lru_cache(maxsize=1024)
def _compiled(glob: str) -> re.Pattern[str]:
    prefix = "" if "/" in glob else "(?:.*/)?"
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", fold_key(glob))
    # Only these four forms are special, so no pattern can need exponential time.
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    body = "".join(special.get(piece, re.escape(piece)) for piece in pieces)
    return re.compile(prefix + body + r"\Z", re.DOTALL)
