"""The words people read: found in the source, kept in the .po catalogues, compiled beside them.

    python dev.py words

adds what the code says anew with an empty translation, drops what it no longer says, and compiles.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
CATALOGUES = sorted(SOURCE.rglob("*.po"))

ONE = {"_", "gettext"}
PLURAL = {"n", "_n", "ngettext"}
DECLARING = {"add_argument", "add_parser"}
# What argparse itself says to users; it has more words for programmers' mistakes.
ARGPARSE = {
    "%(prog)s: error: %(message)s\n",
    "argument %(argument_name)s: %(message)s",
    "expected at least one argument",
    "expected at most one argument",
    "expected one argument",
    "ignored explicit argument %r",
    "invalid %(type)s value: %(value)r",
    "invalid choice: %(value)r (choose from %(choices)s)",
    "not allowed with argument %s",
    "one of the arguments %s is required",
    "options",
    "positional arguments",
    "show this help message and exit",
    "the following arguments are required: %s",
    "unrecognized arguments: %s",
    "usage: ",
}

HEADER = "# What people read, from English (the message ids). After a change: python dev.py words"
# Nobody reads these dates, and true ones would make other bytes at each run.
NEVER = datetime(2026, 1, 1, tzinfo=UTC)
# Headers that say nothing, or name nobody.
UNSAID = tuple(
    f'"{name}'.encode()
    for name in ("Project-", "Report-", "POT-", "PO-Rev", "Last-", "Language-T", "Generated-")
)


class Words(NamedTuple):
    """A text of the code: ``key`` is how a catalogue names it, alone or (singular, plural)."""

    key: str | tuple[str, str]
    file: str


def words_in_code() -> list[Words]:
    """Every text that is given to gettext, in the order of files and lines."""
    found: dict[str | tuple[str, str], str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        named = _constants(tree)
        for key in (key for node in ast.walk(tree) for key in _words(node, named)):
            found.setdefault(key, path.relative_to(ROOT).as_posix())
    found.update(dict.fromkeys(sorted(ARGPARSE), "argparse"))
    return [Words(key, file) for key, file in sorted(found.items(), key=lambda row: row[1])]


def _constants(tree: ast.Module) -> dict[str, str]:
    """Texts that a module gives a name."""
    found = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def _words(node: ast.AST, named: dict[str, str]) -> Iterator[str | tuple[str, str]]:
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            texts = [_text(argument) for argument in node.args]
            if name in ONE and texts and texts[0]:
                yield texts[0]
            elif name in PLURAL and len(texts) > 2 and texts[0] and texts[1]:
                yield texts[0], texts[1]
            elif name in DECLARING:
                helps = [_text(word.value, named) for word in node.keywords if word.arg == "help"]
                yield from filter(None, helps)
        case ast.ClassDef(bases=[_, *_]):
            # Errors state their templates as attributes.
            for line in node.body:
                match line:
                    case ast.Assign(targets=[ast.Name(id="message" | "hint")], value=value):
                        yield from filter(None, [_text(value)])
        case ast.Assign(targets=[ast.Name(id="COMMANDS")], value=ast.Dict(values=rows)):
            yield from filter(None, (_text(row.elts[-1]) for row in rows if _is_row(row)))


def _is_row(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple)


def _text(node: ast.expr, named: Mapping[str, str] = MappingProxyType({})) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return named.get(name, "")
    return ""


def bring_up_to_date(po: Path) -> list[str]:
    """Write a catalogue anew from the code, keeping its translations; what it lacks."""
    with po.open("rb") as text:
        known = read_po(text)
    fresh = Catalog(
        known.locale, header_comment=HEADER, creation_date=NEVER, revision_date=NEVER, fuzzy=False
    )
    lacking = []
    for words in words_in_code():
        earlier = known.get(words.key if isinstance(words.key, str) else words.key[0])
        said = earlier.string if earlier and earlier.id == words.key else ""
        message = fresh.add(words.key, said, locations=[(words.file, None)])
        message.flags.discard("python-format")
        if not all(message.string if isinstance(message.string, tuple) else [message.string]):
            lacking.append(str(words.key))
    written = BytesIO()
    write_po(written, fresh, width=96, include_lineno=False)
    lines = written.getvalue().splitlines(keepends=True)
    po.write_bytes(b"".join(line for line in lines if not line.startswith(UNSAID)))
    with po.with_suffix(".mo").open("wb") as compiled:
        write_mo(compiled, fresh)
    return lacking


def main() -> int:
    """Every catalogue; 1 when one lacks a translation."""
    lacking = {po: bring_up_to_date(po) for po in CATALOGUES}
    for po, keys in lacking.items():
        for key in keys:
            print(f"{po.relative_to(ROOT)}: not translated: {key!r}", file=sys.stderr)
    return 1 if any(lacking.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
