"""Horizontal bars on a logarithmic scale as SVG: text stays text, colours follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _COLUMNS, _GAP = 960, 2, 28
_LABEL, _VALUE, _ROW, _BAR, _HEAD, _TOP = 92, 74, 18, 12, 26, 64
_STYLE = """
text { font: 12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 600 } .panel { font-weight: 600 }
.quiet { fill: #57606a } .grid { stroke: #d0d7de } .page { fill: #ffffff }
.value { paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round }
.peer { fill: #a9b4c0 } .ours { fill: #0a7d5c } .mine { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9da7b3 } .grid { stroke: #30363d } .page { fill: #0d1117 }
  .value { stroke: #0d1117 }
  .peer { fill: #56616e } .ours { fill: #2dd4a0 }
}
"""


class Panel(NamedTuple):
    """One group of bars; the first is ours. None: there is no figure."""

    title: str
    bars: Sequence[tuple[str, float | None]]


def bars(title: str, panels: Sequence[Panel], label: Callable[[float], str]) -> str:
    """The picture. All panels share one scale, a line for each power of ten."""
    values = [value for panel in panels for _name, value in panel.bars if value]
    low = math.floor(math.log10(min(values))) if values else 0
    high = max(math.ceil(math.log10(max(values))), low + 1) if values else 1
    width = (_WIDTH - 2 * 16 - (_COLUMNS - 1) * _GAP) / _COLUMNS
    scale = _Scale(low, high, width - _LABEL - _VALUE)
    rows = [panels[start : start + _COLUMNS] for start in range(0, len(panels), _COLUMNS)]
    parts, y = [], float(_TOP)
    for row in rows:
        for number, panel in enumerate(row):
            parts.append(_panel(panel, (16 + number * (width + _GAP), y), scale, label))
        y += _HEAD + _ROW * max(len(panel.bars) for panel in row) + 20
    note = (
        "Shorter is better. One logarithmic scale for all: each line is ten times the one before."
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y:.0f}" '
        f'width="{_WIDTH}" height="{y:.0f}" role="img" aria-label="{escape(title)}">\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="page" width="{_WIDTH}" height="{y:.0f}" rx="6"/>\n'
        f'<text class="title" x="16" y="28">{escape(title)}</text>\n'
        f'<text class="quiet" x="16" y="47">{note}</text>\n' + "".join(parts) + "</svg>\n"
    )


class _Scale(NamedTuple):
    low: int
    high: int
    length: float

    def at(self, value: float) -> float:
        """Length of a bar; what is 0 has none, the smallest still shows."""
        if value <= 0:
            return 0.0
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return max(1.5, part * self.length)


def _panel(
    panel: Panel, at: tuple[float, float], scale: _Scale, label: Callable[[float], str]
) -> str:
    left, top = at
    base, bottom = left + _LABEL, top + _HEAD + _ROW * len(panel.bars)
    parts = [
        f'<text class="panel" x="{left:.1f}" y="{top + 14:.1f}">{escape(panel.title)}</text>\n'
    ]
    for power in range(scale.low, scale.high + 1):
        x = base + (power - scale.low) / (scale.high - scale.low) * scale.length
        parts.append(f'<path class="grid" d="M{x:.1f} {top + _HEAD - 2:.1f}V{bottom - 2:.1f}"/>\n')
    for number, (name, value) in enumerate(panel.bars):
        parts.append(_bar(name, value, (base, top + _HEAD + number * _ROW), scale, label))
    return "".join(parts)


def _bar(
    name: str,
    value: float | None,
    at: tuple[float, float],
    scale: _Scale,
    label: Callable[[float], str],
) -> str:
    base, top = at
    ours = name == "BitStation"
    mine = " mine" if ours else ""
    length = scale.at(value or 0)
    shown = "no figure" if value is None else label(value)
    quiet = " quiet" if value is None else ""
    return (
        f'<text class="{"mine" if ours else "quiet"}" x="{base - 6:.1f}" y="{top + 10:.1f}" '
        f'text-anchor="end">{escape(name)}</text>\n'
        f'<rect class="{"ours" if ours else "peer"}" x="{base:.1f}" y="{top:.1f}" '
        f'width="{length:.1f}" height="{_BAR}" rx="1.5"/>\n'
        f'<text class="value{mine}{quiet}" x="{base + length + 5:.1f}" y="{top + 10:.1f}">'
        f"{escape(shown)}</text>\n"
    )
