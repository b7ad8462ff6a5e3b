"""Range, If-Range, If-Match and If-None-Match, against a reference that counts bytes."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.hq.api.conditions import Conditions, Selection, select

ETAG = '"' + "ab" * 32 + '"'
OTHER = '"' + "cd" * 32 + '"'


class Asked(NamedTuple):
    """A Range field and the positions it means in an object of some size; None: ignore it."""

    field: str | None
    meant: list[int] | None


def spans(size: int) -> st.SearchStrategy[Asked]:
    numbers = st.integers(0, size + 3) | st.integers(2**62, 2**70)
    units = st.sampled_from(["bytes=", "Bytes=", "BYTES="])

    def from_to(unit: str, first: int, last: int) -> Asked:
        meant = [at for at in range(size) if first <= at <= last] if first <= last else None
        return Asked(f"{unit}{first}-{last}", meant)

    def from_on(unit: str, first: int) -> Asked:
        return Asked(f"{unit}{first}-", [at for at in range(size) if at >= first])

    def suffix(unit: str, count: int) -> Asked:
        if size == 0 and count:
            return Asked(f"{unit}-{count}", None)
        return Asked(f"{unit}-{count}", [at for at in range(size) if at >= size - count])

    nonsense = [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1-2,4-5",
        "bytes=0-0, 1-1",
        "bytes=-1-2",
        "bytes=1--2",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes=0x1-2",
        "bytes=1-2;3",
        "bytes=\u0661-\u0662",
        "items=0-1",
        "0-1",
    ]
    return (
        st.just(Asked(None, None))
        | st.builds(Asked, st.sampled_from(nonsense), st.none())
        | st.builds(from_to, units, numbers, numbers)
        | st.builds(from_on, units, numbers)
        | st.builds(suffix, units, numbers)
    )


def expected(asked: Asked, size: int) -> Selection:
    if asked.meant is None:
        return Selection(200, 0, size)
    if not asked.meant:
        return Selection(416)
    return Selection(206, asked.meant[0], len(asked.meant))


sized_spans = st.integers(0, 40).flatmap(lambda size: st.tuples(st.just(size), spans(size)))


@given(case=sized_spans)
def test_every_form_of_range_means_what_counting_says(case: tuple[int, Asked]) -> None:
    size, asked = case
    assert select("GET", Conditions(range=asked.field), ETAG, size) == expected(asked, size)


@given(case=sized_spans, tag=st.sampled_from([ETAG, f" {ETAG} "]))
def test_if_range_with_our_tag_lets_the_range_through(case: tuple[int, Asked], tag: str) -> None:
    size, asked = case
    answer = select("GET", Conditions(range=asked.field, if_range=tag), ETAG, size)
    assert answer == expected(asked, size)


@pytest.mark.parametrize(
    "tag", [OTHER, f"W/{ETAG}", "Wed, 21 Oct 2026 07:28:00 GMT", ETAG.strip('"'), "*", ""]
)
@given(case=sized_spans)
def test_if_range_with_anything_else_means_the_whole(case: tuple[int, Asked], tag: str) -> None:
    size, asked = case
    answer = select("GET", Conditions(range=asked.field, if_range=tag), ETAG, size)
    assert answer == Selection(200, 0, size)


@given(case=sized_spans)
def test_head_and_others_know_no_range(case: tuple[int, Asked]) -> None:
    size, asked = case
    assert select("HEAD", Conditions(range=asked.field), ETAG, size) == Selection(200, 0, size)


@pytest.mark.parametrize(
    "field", [ETAG, f"W/{ETAG}", f"{OTHER}, {ETAG}", f'"a,b" ,W/{ETAG},', "*", " * "]
)
def test_if_none_match_that_names_us_is_304_before_any_range(field: str) -> None:
    for method in ("GET", "HEAD"):
        asked = Conditions(range="bytes=0-0", if_none_match=field)
        assert select(method, asked, ETAG, 10) == Selection(304)


@pytest.mark.parametrize("field", [OTHER, ETAG.strip('"'), '"*"', "", '"' + ETAG.strip('"')])
def test_if_none_match_that_names_another_changes_nothing(field: str) -> None:
    asked = Conditions(range="bytes=0-0", if_none_match=field)
    assert select("GET", asked, ETAG, 10) == Selection(206, 0, 1)


@pytest.mark.parametrize("field", [ETAG, f"{OTHER}, {ETAG}", "*"])
def test_if_match_that_names_us_changes_nothing(field: str) -> None:
    assert select("GET", Conditions(if_match=field), ETAG, 10) == Selection(200, 0, 10)


@pytest.mark.parametrize("field", [OTHER, f"W/{ETAG}", "", "nonsense"])
def test_if_match_that_does_not_is_412_before_all_else(field: str) -> None:
    asked = Conditions(range="bytes=99-", if_match=field, if_none_match=ETAG)
    assert select("GET", asked, ETAG, 10) == Selection(412)
