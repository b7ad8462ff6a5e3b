"""Recipes: the first byte says how many blocks each file has."""

from __future__ import annotations

from typing import TypeVar

from bitstation.core.canonical import MAX_INTEGER
from bitstation.core.recipe import Copy, Fetch, Fill, Patch, encode_recipes, parse_recipes
from bitstation.errors import ManifestError

T = TypeVar("T")


class _Every(dict[str, int]):
    """The same count of blocks for every file."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def get(self, _key: str, _default: object = None) -> int:  # type: ignore[override]
        return self._count


def check(data: bytes) -> bool:
    """Segments ascend within their file, steps within their bounds; what is written is read."""
    counts = _Every(data[0] if data else 0)
    try:
        found = parse_recipes(data[1:], counts)
    except ManifestError:
        return False
    for recipe in found.values():
        end = 0
        for segment in recipe:
            assert end <= segment.first < segment.end <= counts.get("")
            end = segment.end
            _hold(segment.step)
    written = encode_recipes(found)
    assert parse_recipes(written, counts) == found
    assert encode_recipes(parse_recipes(written, counts)) == written
    return True


def _hold(step: Copy | Fetch | Patch | Fill) -> None:
    match step:
        case Copy():
            assert step.blob
            assert 0 <= step.offset <= MAX_INTEGER
        case Fetch():
            assert 0 <= step.offset <= MAX_INTEGER
            assert step.length > 0
        case Patch():
            assert step.base
            assert min(step.base_offset, step.base_length, step.offset) >= 0
            assert step.length > 0
        case Fill():
            assert 0 <= step.value <= 255
