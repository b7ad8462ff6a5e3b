"""ignore_globs: a path and then its patterns, one a line."""

from __future__ import annotations

from bitstation.core.globs import matches_any


def check(data: bytes) -> bool:
    """Patterns match each for itself, whatever the case; libFuzzer's time limit bounds the cost."""
    path, *globs = data.decode("utf-8", "surrogateescape").split("\n")[:6]
    matched = matches_any(path, globs)
    assert matched == any(matches_any(path, [glob]) for glob in globs)
    if path.isascii():
        assert matched == matches_any(path.upper(), globs)
    assert not matches_any(path, [""])
    assert matches_any(path, ["**"])
    return matched
