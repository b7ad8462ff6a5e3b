"""RESULTS.md: a section for each case, made by the run that measured it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import report

NAME = "RESULTS.md"
_HEAD = (
    "# Results\n\nMade by `python dev.py bench --write`, never by hand; README.md says what each "
    "case is and how the figures are made. Each section names the day and the machine of its run.\n"
)


class Section(NamedTuple):
    """What a case has to show."""

    name: str
    rounds: int
    company: str
    rows: Sequence[report.Row]
    texts: Sequence[str]
    drawings: Mapping[str, str]


def write(sections: Sequence[Section], machine: str, order: Sequence[str], folder: Path) -> None:
    """Replace the sections of cases that were measured; the others stay as their run left them."""
    path = folder / NAME
    kept = _sections(path.read_text("utf-8")) if path.exists() else {}
    for section in sections:
        kept[section.name] = _text(section, machine)
        for name, drawing in section.drawings.items():
            (folder / "plots").mkdir(exist_ok=True)
            (folder / "plots" / name).write_text(drawing, "utf-8", newline="\n")
    texts = [kept[name] for name in order if name in kept]
    path.write_text(_HEAD + "".join(f"\n{text}" for text in texts), "utf-8", newline="\n")


def _text(section: Section, machine: str) -> str:
    day = datetime.now(UTC).date().isoformat()
    parts = [
        f"## {section.name}",
        f"{day}; comparisons of times in {section.rounds} interleaved rounds; {machine}; "
        f"{section.company}.",
        report.table(section.rows),
        *(f"![{name.removesuffix('.svg')}](plots/{name})" for name in section.drawings),
        *section.texts,
    ]
    return "\n\n".join(parts) + "\n"


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {
        name: f"## {name}\n{body.rstrip()}\n"
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
