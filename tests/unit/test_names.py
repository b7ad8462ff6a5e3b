"""The grammar of tool ids and versions, and the order of versions."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.names import (
    MAX_VERSION_CHARS,
    TOOL_ID_PATTERN,
    is_older,
    newest,
    tool_id_fault,
    version_fault,
    version_key,
)

NUMBERS = st.integers(0, 10**6)
PARTS = st.from_regex(r"\A(0|[1-9][0-9]{0,5}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]{0,5})\Z")
VERSIONS = st.builds(
    lambda core, pre, build: (
        ".".join(map(str, core))
        + ("-" + ".".join(pre) if pre else "")
        + ("+" + ".".join(build) if build else "")
    ),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    st.lists(PARTS, max_size=2),
    st.lists(st.from_regex(r"\A[0-9A-Za-z-]{1,5}\Z"), max_size=2),
).filter(lambda text: len(text) <= MAX_VERSION_CHARS)


@pytest.mark.parametrize(
    "name", ["a", "0", "z-image-turbo", "bm_generator", "a" * 64, "3d", "com10"]
)
def test_a_tool_id_is_taken(name: str) -> None:
    assert tool_id_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "BM-Generator",
        "-a",
        "a-",
        "_a",
        "a.b",
        "a b",
        "a/b",
        "..",
        ".",
        "a\n",
        "ñ",
        "a" * 65,
        "con",
        "nul",
        "com1",
        "lpt9",
        "a\x00",
        "ａ",
        None,
        1,
        "٣",
    ],
)
def test_a_tool_id_is_refused(name: object) -> None:
    assert tool_id_fault(name)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0",
        "1.2.3",
        "10.20.30",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-0.3.7",
        "1.0.0+b.001",
        "1.0.0-x-y-z.--",
        "1.0.0--",
        "999999999999999.0.0",
    ],
)
def test_a_version_is_taken(text: str) -> None:
    assert version_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0.0",
        "01.0.0",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0-a..b",
        "1.0.0+",
        "1.0.0+a+b",
        " 1.0.0",
        "1.0.0\n",
        "1.0.0/x",
        "..",
        "1.-1.0",
        "1.0.0-ñ",
        "١.0.0",
        "9" * 17 + ".0.0",
        "1.0.0-" + "a" * 64,
        None,
        1,
    ],
)
def test_a_version_is_refused(text: object) -> None:
    assert version_fault(text)


def test_the_order_is_that_of_semantic_versioning() -> None:
    ordered = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.2.0",
        "1.10.0",
        "2.0.0",
    ]
    assert sorted(reversed(ordered), key=version_key) == ordered
    assert all(is_older(one, other) for one, other in pairwise(ordered))


@given(VERSIONS, VERSIONS)
def test_the_order_is_total(one: str, other: str) -> None:
    assert version_fault(one) is None
    assert (version_key(one) == version_key(other)) == (one == other)
    assert is_older(one, other) + is_older(other, one) == (one != other)


@given(st.lists(VERSIONS, min_size=1, max_size=6))
def test_the_newest_is_a_pre_release_only_where_there_is_nothing_else(versions: list[str]) -> None:
    chosen = newest(versions)
    finished = [each for each in versions if "-" not in each.partition("+")[0]]
    assert chosen == max(finished or versions, key=version_key)


def test_the_pattern_for_schemas_is_the_rule_itself() -> None:
    assert TOOL_ID_PATTERN.startswith("^")
    assert TOOL_ID_PATTERN.endswith("$")
