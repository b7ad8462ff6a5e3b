"""ignore_globs: which unlisted files of a release are carried along rather than set aside.

``**`` as a whole name spans any number of folders, ``*`` and ``?`` stay inside a name, a pattern
without a slash is matched against the last name, case is ignored. An empty pattern matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from bitstation.core.relpath import fold_key

_SPAN = None
"""A ``**`` among the names of a pattern."""


def matches_any(path: str, globs: Iterable[str]) -> bool:
    """Say whether a relative path matches one of the patterns.

    Cost: names of the path times names of the pattern, and no pattern can make it more.
    """
    names = fold_key(path).split("/")
    for glob in globs:
        if glob and "/" not in glob and glob != "**":
            if _name_pattern(fold_key(glob)).match(names[-1]):
                return True
        elif glob and _spans(_pattern(glob), names):
            return True
    return False


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    return tuple(
        _SPAN if name == "**" else _name_pattern(name) for name in fold_key(glob).split("/")
    )


@lru_cache(maxsize=4096)
def _name_pattern(name: str) -> re.Pattern[str]:
    """Pattern of one name.

    The first place where what follows a star fits is as good as any later one, so each star but
    the last is atomic: a hostile pattern cannot cost exponential time.
    """
    first, *rest = [_literal(piece) for piece in re.split(r"\*+", name)]
    body = first + "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    body += f".*{rest[-1]}" if rest else ""
    return re.compile(body + r"\Z", re.DOTALL)


def _literal(piece: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in piece)


def _spans(pattern: tuple[re.Pattern[str] | None, ...], names: list[str]) -> bool:
    """Match name by name, holding every number of names that the pattern so far may have taken."""
    taken = {0}
    for position, part in enumerate(pattern):
        if part is not None:
            taken = {n + 1 for n in taken if n < len(names) and part.match(names[n])}
        elif taken:
            # A ``**`` at the end stands for what is below a folder, not for the folder itself.
            least = min(taken) + (position == len(pattern) - 1)
            taken = set(range(least, len(names) + 1))
    return len(names) in taken
