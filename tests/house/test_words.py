"""The gettext catalogues: complete, true to the code, compiled; and the words of the contract."""

from __future__ import annotations

import argparse
import gettext
import io
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from babel.messages.catalog import Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from bitstation.cli.dispatch import build_parser
from bitstation.cli.main import COMMANDS
from bitstation.core.stats import UpdateStats
from tests.house.words import CATALOGUES, words_in_code


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


@pytest.mark.parametrize("po", CATALOGUES, ids=lambda po: po.parts[-3])
def test_it_has_every_word_of_the_code_and_no_other(po: Path) -> None:
    with po.open("rb") as text:
        translated = {_key(message) for message in read_po(text) if message.id}
    in_code = {words.key for words in words_in_code()}
    assert len(in_code) > 200
    assert in_code - translated == set(), "take them in: python dev.py words"
    assert translated - in_code == set(), "drop them: python dev.py words"


@pytest.mark.parametrize("po", CATALOGUES, ids=lambda po: po.parts[-3])
def test_a_translation_fills_in_what_the_original_fills_in(po: Path) -> None:
    with po.open("rb") as text:
        messages = [message for message in read_po(text) if message.id]
    for message in messages:
        key = _key(message)
        original = key if isinstance(key, str) else key[1]
        for said in _strings(message):
            assert _fields(said) == _fields(original), said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_text_is_among_them(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The code is searched for them; what a search does not find would stay English unnoticed.
    monkeypatch.setenv("BITSTATION_LANG", "en")
    in_code = {words.key for words in words_in_code()}
    assert set(_helps(build_parser([command]))) - in_code == set()


def _helps(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        nested = isinstance(action, argparse._SubParsersAction)
        for told in (action, *(action._choices_actions if nested else ())):
            if told.help and told.help != argparse.SUPPRESS:
                yield told.help
        for verb in action.choices.values() if nested else ():
            yield from _helps(verb)


def _key(message: Message) -> str | tuple[str, str]:
    return message.id if isinstance(message.id, str) else (message.id[0], message.id[1])


def _strings(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


def _fields(text: str) -> list[str]:
    """What is filled in: named in any order, unnamed by their number; argparse's by ``%``."""
    percent = re.findall(r"%(?:\(\w+\))?[rs]", text)
    parsed = string.Formatter().parse(text)
    braces = [f"{name}!{how}:{form}" for _, name, form, how in parsed if name is not None]
    return sorted(percent + braces)


def test_the_report_in_spanish_is_that_of_the_contract() -> None:
    stats = UpdateStats(
        files_downloaded=3,
        files_verified=100,
        files_deleted=1,
        files_unchanged=97,
        bytes_downloaded=5_230_000,
    )
    rule = "═" * 55
    head = f"""\
{rule}
  REPORTE DE ACTUALIZACIÓN DIFERENCIAL
{rule}
  📥 Archivos descargados:  3
  ✓  Archivos verificados:  100
  🗑  Archivos eliminados:   1
  ⏭  Archivos sin cambios:  97
  📊 Datos descargados:     5.23 MB
"""
    report = stats.report("es")
    assert report.startswith(head)
    assert report.endswith("\n" + rule)
