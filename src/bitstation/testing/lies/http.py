"""Group N: what a server on the way, or HQ itself, does to answers that are true.

A ``Twist`` is given every request and its honest answer, and says what is sent. Most touch only the
answers with ``MODEL``, so that a worker is in the midst of an update when it meets them.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable

from bitstation.core.digest import digest_of
from bitstation.testing.lies.releases import MODEL
from bitstation.testing.scripted_hq import Twist
from bitstation.testing.web_server import Asked, Said, Then, chunked, said

MODEL_DIGEST = digest_of(MODEL)
SIZE = len(MODEL)
SPAN = {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}
SIGN_IN = said(
    200, b"<html>Sign in, please</html>" * 50, {"Content-Type": "text/html; charset=utf-8"}
)
BUSY = said(429, b"", {"Retry-After": "1"})
MOVED_ON = "moved"

Lie = Said | Callable[[Said], Said]


def of_model(lie: Lie) -> Twist:
    """Only the model is answered so."""
    return of_what_ends(MODEL_DIGEST, lie)


def of_what_ends(end: str, lie: Lie) -> Twist:
    """Only requests whose target ends so are answered so."""

    def twist(asked: Asked, honest: Said) -> Said:
        if not asked.target.endswith(end):
            return honest
        return lie if isinstance(lie, Said) else lie(honest)

    return twist


def at_times(lie: Lie, one_in: int = 2) -> Twist:
    """Of so many requests for the model the last is answered honestly."""
    asked_so_far = 0

    def now_and_then(honest: Said) -> Said:
        nonlocal asked_so_far
        asked_so_far += 1
        if asked_so_far % one_in == 0:
            return honest
        return lie if isinstance(lie, Said) else lie(honest)

    return of_model(now_and_then)


def edited(old: str, new: str) -> Callable[[Said], Said]:
    """An honest answer with other words in its head."""

    def edit(honest: Said) -> Said:
        head, end, body = honest.data.partition(b"\r\n\r\n")
        assert old.encode() in head
        return Said(head.replace(old.encode(), new.encode()) + end + body, honest.then)

    return edit


def head_of(answer: Said) -> int:
    """Length of an answer's head."""
    return answer.data.index(b"\r\n\r\n") + 4


def cut_at(count: int, then: Then = Then.CLOSE) -> Callable[[Said], Said]:
    """So many bytes of the body, and then the end."""
    return lambda honest: honest.cut(head_of(honest) + count, then)


def part(body: bytes, headers: dict[str, str | None], then: Then = Then.KEEP) -> Twist:
    """N15, N16, N18 to N21: a 206 that states something else than was asked for."""
    return of_model(said(206, body, {**SPAN, **headers}, then=then))


def part_of(size: int) -> Twist:
    """N16: a 206 shorter or longer than what was asked for."""
    span = {"Content-Range": f"bytes 0-{size - 1}/{SIZE * 2}"}
    return of_model(said(206, (MODEL * 2)[:size], span))


def without_length() -> Twist:
    """N21: no length is stated, and less comes than should."""
    no_length: dict[str, str | None] = {**SPAN, "Content-Length": None}
    return at_times(said(206, MODEL[:1000], no_length, then=Then.CLOSE))


def chunks_cut_short() -> Twist:
    """N22: chunks that end in the midst of one."""
    return at_times(chunked(MODEL[:5000], MODEL[5000:]).cut(300_000))


def endless() -> Twist:
    """N23: forty times what was asked for."""
    return of_model(said(200, MODEL * 40))


def endless_chunks() -> Twist:
    """N23: the same in chunks that never end."""
    return of_model(chunked(MODEL, MODEL * 40, end=b""))


def endless_manifest(manifest: bytes) -> Twist:
    """N23: 33 MiB of nothing where this manifest should be."""
    return of_what_ends(digest_of(manifest), said(200, b" " * (33 << 20)))


def dribbled(count: int) -> Twist:
    """N25: after so many bytes, head included, one now and then."""
    return of_model(lambda honest: Said(honest.data[:count], Then.DRIBBLE))


def stalled(count: int) -> Twist:
    """N26: after so many bytes nothing, on a connection that stays open."""
    return of_model(lambda honest: Said(honest.data[:count], Then.HANG))


def packed() -> Twist:
    """N27: 10 MB of zeros packed into 10 KB."""
    bomb = gzip.compress(bytes(10_000_000))
    return of_model(said(200, bomb, {"Content-Encoding": "gzip"}))


def redirected(location: str) -> Twist:
    """N30 to N34: the model is elsewhere."""
    return of_model(said(302, b"", {"Location": location}))


def redirected_within() -> Twist:
    """N28: everything is a step further at the same server."""

    def twist(asked: Asked, honest: Said) -> Said:
        is_there = asked.target.partition("?")[2] == MOVED_ON
        return honest if is_there else said(307, b"", {"Location": f"?{MOVED_ON}"})

    return twist


def redirected_in_a_circle() -> Twist:
    """N33: everything is where it was asked for."""
    return lambda _asked, _honest: said(302, b"", {"Location": "?"})


def another_tag_midway() -> Twist:
    """N35: after half of the model its tag is another, and so are the bytes; then they are true."""
    step = 0

    def republished(honest: Said) -> Said:
        nonlocal step
        step += 1
        if step % 3 == 1:
            return cut_at(SIZE // 2)(honest)
        other = edited(MODEL_DIGEST, "0" * 64)(honest)
        return Said(other.data[: -SIZE // 2] + b"x" * (SIZE // 2)) if step % 3 == 2 else other

    return of_model(republished)


def always_the_whole() -> Twist:
    """N36: whatever is asked for, the beginning of the whole comes."""
    whole = said(200, MODEL)
    return of_model(cut_at(1000)(whole))


def dying(count: int) -> Twist:
    """N37: the connection dies after each so many bytes of the model."""
    return of_model(cut_at(count))


def old_version() -> Twist:
    """N38: HTTP/1.0."""
    return lambda _asked, honest: Said(honest.data.replace(b"HTTP/1.1", b"HTTP/1.0", 1), Then.CLOSE)


def doubled() -> Twist:
    """N40: every answer comes twice."""
    return lambda _asked, honest: Said(honest.data * 2)


_HEADERS = {
    "a length behind a lone CR": "X: a\rContent-Length: 3\r\n",
    "a length behind NUL": "X: a\0Content-Length: 3\r\n",
    "a name with a space": "Content-Length : 3\r\n",
    "a folded line": "X: a\r\n Content-Length: 3\r\n",
    "no colon": "nonsense\r\nContent-Length: 3\r\n",
    "two lengths": "Content-Length: 3\r\n",
}
_BEFORE = {
    "an answer proper after an early one": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "endless continues": b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
}
SPLITS = (*_HEADERS, *_BEFORE)


def split(name: str) -> Twist:
    """N40: a head of which two readers could make two things."""
    if name in _BEFORE:
        return of_model(lambda honest: Said(_BEFORE[name] + honest.data))
    return of_model(edited("ETag:", f"{_HEADERS[name]}ETag:"))
