"""The gettext catalogues: complete, and compiled from what the translator wrote."""

from __future__ import annotations

import gettext
import io
from pathlib import Path
from typing import BinaryIO

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted((ROOT / "src").rglob("*.po"))


def words_of(mo: BinaryIO) -> dict[object, str]:
    """What a compiled catalogue says, but for its header: that names the time and the tool."""
    return {key: said for key, said in gettext.GNUTranslations(mo)._catalog.items() if key}  # type: ignore[attr-defined]


def test_there_is_a_catalogue() -> None:
    assert CATALOGUES


@pytest.mark.parametrize("po", CATALOGUES, ids=lambda po: po.parts[-3])
def test_it_is_complete_and_compiled(po: Path) -> None:
    with po.open("rb") as text:
        catalogue = read_po(text)
    for message in catalogue:
        words = message.string if isinstance(message.string, tuple | list) else [message.string]
        assert all(words), f"not translated: {message.id!r}"
        assert not message.fuzzy or not message.id, f"to be looked at: {message.id!r}"
    fresh = io.BytesIO()
    write_mo(fresh, catalogue)
    fresh.seek(0)
    with po.with_suffix(".mo").open("rb") as committed:
        assert words_of(committed) == words_of(fresh), "compile it: python dev.py words"
