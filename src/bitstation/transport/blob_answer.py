"""Whether an answer is the span of a blob that was asked for. No server of ours is needed."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict

import msgspec

from bitstation.core.digest import Digest
from bitstation.errors import SourceBroken
from bitstation.transport.failures import RangeIgnored, RangeRefused, SourceChanged
from bitstation.transport.http_stream import Stream

MAX_ETAGS = 10_000
_NUMBER = "(?:0|[1-9][0-9]{0,17})"
_CONTENT_RANGE = re.compile(rf"bytes ({_NUMBER})-({_NUMBER})/({_NUMBER}|\*)")


class Span(msgspec.Struct, frozen=True):
    """Bytes asked of a blob; ``length`` None means to its end."""

    digest: Digest
    offset: int
    length: int | None

    @property
    def is_whole(self) -> bool:
        """Say whether the whole blob is asked for, so that no Range need be sent."""
        return self.offset == 0 and self.length is None

    def headers(self) -> dict[str, str]:
        """Of the request. No If-Range: blocks are proved by digest, and other bytes show."""
        if self.is_whole:
            return {}
        end = "" if self.length is None else str(self.offset + self.length - 1)
        return {"Range": f"bytes={self.offset}-{end}"}


def check_span(stream: Stream, span: Span, source: str) -> None:
    """Raise unless the body begins with what was asked for and is not shorter than that.

    Raises RangeIgnored when it is the whole blob and no beginning was asked for, SourceBroken.
    """
    stream.check_plain() if span.length is not None else stream.check_whole()
    if stream.status == 206:
        is_right = _is_part(stream, span)
    else:
        if span.offset > 0:
            raise RangeIgnored(source=source, what=span.digest, offset=span.offset)
        # A whole blob holds every beginning of it: the reader takes what it needs.
        size = _stated(stream)
        is_right = span.length is None or size is None or size >= span.length
    if not is_right:
        stated = f"{stream.headers.get('content-length', 'unknown many')} bytes"
        shown = stream.headers.get("content-range", stated)
        raise SourceBroken(
            source=source,
            detail=f"HTTP {stream.status} with {shown[:80]!r},"
            f" asked for {span.length} at {span.offset}",
        )


def range_refused(span: Span, source: str) -> RangeRefused:
    """What a 416 means."""
    return RangeRefused(source=source, what=span.digest, offset=span.offset)


def _is_part(stream: Stream, span: Span) -> bool:
    found = _CONTENT_RANGE.fullmatch(stream.headers.get("content-range", ""))
    is_multipart = stream.headers.get("content-type", "").lower().startswith("multipart/")
    if span.is_whole or found is None or is_multipart:
        return False
    first, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    if span.length is not None:
        wanted_last = span.offset + span.length - 1
    elif total is not None:
        wanted_last = total - 1
    else:
        # To its end, of which nobody knows where it is.
        return False
    fits = first <= last and (total is None or last < total)
    length = wanted_last - span.offset + 1
    return (
        (first, last) == (span.offset, wanted_last) and fits and _stated(stream) in (None, length)
    )


def _stated(stream: Stream) -> int | None:
    """Length in the head, which has been checked to be a number; None when there is none."""
    text = stream.headers.get("content-length")
    return None if text is None else int(text)


class Etags:
    """The tag that each blob had first in this run. Any tag will do, a change of it will not.

    Bounded: beyond MAX_ETAGS the blobs asked for longest ago are forgotten.
    """

    def __init__(self, max_count: int = MAX_ETAGS) -> None:
        self._max_count = max_count
        self._seen: OrderedDict[Digest, str] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, digest: Digest, etag: str, source: str) -> None:
        """Raise SourceChanged when a blob's tag became another; the new one counts from then on."""
        # What compresses on the way makes a strong tag weak; the bytes are the same.
        tag = etag.removeprefix("W/")
        if not tag or len(tag) > 1024:
            return
        with self._lock:
            known = self._seen.pop(digest, tag)
            self._seen[digest] = tag
            if len(self._seen) > self._max_count:
                self._seen.popitem(last=False)
        if known != tag:
            raise SourceChanged(source=source, what=digest)
