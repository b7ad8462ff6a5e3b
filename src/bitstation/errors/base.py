"""The root of our exceptions, and how their words are filled in.

Every class states its message and hint as templates over its named fields, so that a raise site
gives facts only, programs read ``code`` and ``fields``, and people read their own language.
``exit_code`` follows the table of the command line's contract.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from bitstation.shown import harmless


def _same(text: str) -> str:
    return text


class BitStationError(Exception):
    """Root of every error this package raises on purpose; ``fields`` fill the templates."""

    code: ClassVar[str] = "unexpected"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    message: ClassVar[str] = "{detail}"
    hint: ClassVar[str] = ""

    def __init__(self, **fields: object) -> None:
        self.fields = {name: harmless(value) for name, value in fields.items()}
        super().__init__(self.text())

    def text(self, translate: Callable[[str], str] = _same) -> str:
        """What failed, on which object, expected against actual."""
        return translate(self.message).format_map(_Named(self.fields))

    def advice(self, translate: Callable[[str], str] = _same) -> str:
        """What the reader can do about it; empty where there is nothing to say."""
        return translate(self.hint).format_map(_Named(self.fields)) if self.hint else ""


class _Named(dict[str, object]):
    """Template fields; an absent one shows as its name, for a message must never fail to print."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"
