"""The answer to a request for a span: right only when it says so in every way."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstation.core.digest import digest_of
from bitstation.errors import SourceBroken
from bitstation.transport.blob_answer import Span, check_span
from bitstation.transport.failures import RangeIgnored
from bitstation.transport.http_stream import Stream

DIGEST = digest_of(b"it")


class Answer:
    """The head of an answer."""

    def __init__(self, status: int, **headers: str | None) -> None:
        self.status = status
        self.headers = {
            name.replace("_", "-"): text for name, text in headers.items() if text is not None
        }

    def check_plain(self) -> None:
        """Not compressed."""

    def check_whole(self) -> None:
        """Nor cut."""


def is_right(span: Span, answer: Answer) -> bool:
    try:
        check_span(cast(Stream, answer), span, "it")
    except (SourceBroken, RangeIgnored):
        return False
    return True


def is_number(text: str) -> bool:
    return text.isdigit() and (text == "0" or text[0] != "0")


_NUMBERS = st.integers(0, 30)
_TEXTS = st.text("bytes 0123456789-/*,=+_ .", max_size=20) | st.builds(
    "bytes {}-{}/{}".format, _NUMBERS, _NUMBERS, _NUMBERS | st.just("*")
)


@given(_NUMBERS, st.integers(1, 30), _TEXTS, st.none() | _NUMBERS)
@example(5, 5, "bytes 5-9/10", 5)
@example(5, 5, "bytes 5-9/*", None)
@example(5, 5, "bytes 5-9/9", None)
def test_a_part_is_right_only_when_it_is_exactly_what_was_asked_for(
    offset: int, length: int, stated: str, size: int | None
):
    last = offset + length - 1
    answer = Answer(206, content_range=stated, content_length=None if size is None else str(size))
    start, _, total = stated.partition("/")
    fits = total == "*" or (is_number(total) and int(total) > last)
    expected = start == f"bytes {offset}-{last}" and fits and size in (None, length)
    assert is_right(Span(DIGEST, offset, length), answer) == expected


@given(st.integers(1, 30), _TEXTS)
@example(5, "bytes 5-9/10")
@example(5, "bytes 5-9/*")
@example(5, "bytes 5-8/10")
def test_the_rest_is_right_only_when_its_end_is_known_and_reached(offset: int, stated: str):
    start, _, total = stated.partition("/")
    reached = (
        is_number(total) and int(total) > offset and start == f"bytes {offset}-{int(total) - 1}"
    )
    assert is_right(Span(DIGEST, offset, None), Answer(206, content_range=stated)) == reached


@given(_NUMBERS, st.integers(1, 30), st.none() | _NUMBERS)
def test_a_whole_blob_serves_only_a_beginning(offset: int, length: int, size: int | None):
    answer = Answer(200, content_length=None if size is None else str(size))
    expected = offset == 0 and (size is None or size >= length)
    assert is_right(Span(DIGEST, offset, length), answer) == expected


def test_a_part_is_no_answer_to_who_asked_for_the_whole():
    answer = Answer(206, content_range="bytes 0-9/10", content_length="10")
    with pytest.raises(SourceBroken):
        check_span(cast(Stream, answer), Span(DIGEST, 0, None), "it")


def test_what_was_asked_for_is_said_in_the_request():
    assert Span(DIGEST, 0, None).headers() == {}
    assert Span(DIGEST, 0, 5).headers() == {"Range": "bytes=0-4"}
    assert Span(DIGEST, 7, None).headers() == {"Range": "bytes=7-"}
