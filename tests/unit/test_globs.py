"""ignore_globs: what they match, and that no pattern can hold a worker up."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.globs import matches_any

MATCHES = [
    ("venv/**", "venv/bin/python"),
    ("venv/**", "VENV/x"),
    ("*.log", "a.log"),
    ("*.log", "deep/er/a.LOG"),
    (".env", "sub/.env"),
    ("config.local.*", "config.local.json"),
    ("config.local.*", "x/config.local."),
    ("**", "anything/at/all"),
    ("**/*", "a"),
    ("**/cache/**", "a/b/cache/c/d"),
    ("**/cache/**", "cache/c"),
    ("a/**/b", "a/b"),
    ("a/**/b", "a/x/y/b"),
    ("a/*/c", "a/b/c"),
    ("a/?.py", "a/x.py"),
    ("*", "x/y"),
    ("a*b*c", "aXbYc"),
    ("a*b*c", "abbbc"),
    ("*.tar.*", "x.tar.gz"),
    ("ñ*", "Ñandú"),
    ("a[1].txt", "a[1].txt"),
    ("**/**/x", "x"),
    ("a**b", "aXXb"),
]
MISSES = [
    ("", "a"),
    ("", ""),
    ("venv/**", "venv"),
    ("venv/**", "a/venv/x"),
    ("*.log", "a.log.txt"),
    ("*.log", "a.log/x"),
    ("a/*/c", "a/b/b/c"),
    ("a/*", "a/b/c"),
    ("?.py", "ab.py"),
    ("a**b", "a/b"),
    ("a[1].txt", "a1.txt"),
    ("a.c", "abc"),
    ("a/", "a"),
    ("/a", "a"),
    ("a/**/b", "a/x/y/c"),
    ("**/a", "b/aa"),
]


@pytest.mark.parametrize(("glob", "path"), MATCHES)
def test_it_matches(glob: str, path: str) -> None:
    assert matches_any(path, [glob])
    assert matches_any(path, ["never", "", glob])


@pytest.mark.parametrize(("glob", "path"), MISSES)
def test_it_does_not_match(glob: str, path: str) -> None:
    assert not matches_any(path, [glob])


def test_no_patterns_match_nothing() -> None:
    assert not matches_any("a", [])


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*a" * 60 + "b", "a" * 250),
        ("a*" * 60 + "b", "a" * 250),
        ("?*" * 60 + "b", "a" * 250),
        ("**/" * 60 + "b", "a/" * 60 + "c"),
        ("**/a/" * 30 + "b", "a/" * 60 + "c"),
        ("/".join(["*a*a*a*a*b"] * 5), "/".join(["a" * 250] * 5)),
        ("(a+)+$" * 20, "a" * 250),
    ],
)
def test_a_hostile_pattern_costs_no_more_than_another(glob: str, path: str) -> None:
    # With backtracking each of these would outlast the universe; the run ends hung tests.
    assert not matches_any(path, [glob])


NAMES = st.text("ab.", min_size=1, max_size=6)
PATTERNS = st.text("ab.*?", min_size=1, max_size=8).filter(lambda text: "**" not in text)


@given(NAMES, PATTERNS)
def test_within_a_name_it_agrees_with_the_shell(name: str, pattern: str) -> None:
    expected = re.match(fnmatch.translate(pattern), name) is not None
    assert matches_any(name, [pattern]) == expected
    assert matches_any("folder/" + name, [pattern]) == expected
    assert matches_any("folder/" + name, ["folder/" + pattern]) == expected


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=6), st.data())
def test_two_stars_take_the_place_of_any_names(names: list[str], data: st.DataObject) -> None:
    last = data.draw(st.integers(0, len(names) - 1))
    first = data.draw(st.integers(0, last))
    pattern = "/".join([*names[:first], "**", *names[last:]])
    assert matches_any("/".join(names), [pattern])
