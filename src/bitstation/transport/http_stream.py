"""An answer of http.client as a stream, and what makes an answer unfit to be believed."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from contextlib import suppress

from bitstation.errors import BitStationError, SourceBroken, SourceUnreachable, TlsError
from bitstation.transport.arrivals import TooSlow
from bitstation.transport.connection import Connection, Response
from bitstation.transport.failures import SourceStalled


class Stream:
    """An answer whose body is read into the caller's buffers."""

    def __init__(
        self,
        response: http.client.HTTPResponse,
        connection: Connection,
        give_back: Callable[[Connection], None],
        drop: Callable[[Connection], None],
        source: str,
    ) -> None:
        # What a Connection gives, though http.client's types do not know it.
        assert isinstance(response, Response)
        self._response = response
        self._connection = connection
        self._give_back = give_back
        self._drop = drop
        self._source = source
        self._is_broken = False
        # Of any other body a cut looks like the end.
        self._states_its_end = response.chunked or response.length is not None
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def readinto(self, buffer: memoryview) -> int:
        """Put one arrival into ``buffer``; 0 at the end of the body.

        Raises SourceBroken when the body ends before its stated end, SourceStalled when nothing
        or too little arrives in time, SourceUnreachable.
        """
        try:
            count = self._response.receive(buffer)
        except TimeoutError as error:
            self._is_broken = True
            detail = str(error) if isinstance(error, TooSlow) else "no answer in time"
            raise SourceStalled(source=self._source, detail=detail) from error
        except (OSError, http.client.HTTPException) as error:
            self._is_broken = True
            raise foreign_error(error, self._source) from error
        if count == 0 and len(buffer):
            self.finish()
        return count

    def comes_within(self, seconds: float) -> bool:
        """Whether something of the body comes within a time, or its end is here."""
        return self._response.comes_within(seconds)

    def finish(self) -> None:
        """Say that the body was read to its end. Raises SourceBroken when it was cut short."""
        if self._response.length not in (0, None):
            self._is_broken = True
            raise SourceBroken(
                source=self._source, detail=f"ended {self._response.length} bytes too early"
            )

    def check_whole(self) -> None:
        """Refuse a body of which a part could pass for the whole, or that is not plain bytes.

        Raises SourceBroken.
        """
        self.check_plain()
        if not self._states_its_end:
            raise SourceBroken(source=self._source, detail="did not say how long its answer is")

    def check_plain(self) -> None:
        """Refuse a content encoding: none was asked for. Raises SourceBroken."""
        encoding = self.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise SourceBroken(
                source=self._source, detail=f"sent the content encoding {encoding[:20]!r}"
            )

    def close(self) -> None:
        """Keep the connection for the next request when the body was read whole, else close it."""
        is_whole = self._response.isclosed() and not self._is_broken
        # What nobody asked for could pass for the next answer.
        is_whole = is_whole and not self._response.reader.has_more
        if is_whole and not self._response.will_close:
            self._give_back(self._connection)
        else:
            with suppress(OSError):
                self._response.close()
            self._drop(self._connection)


def foreign_error(error: Exception, source: str) -> BitStationError:
    """Our error for what http.client, ssl or the socket raised."""
    if isinstance(error, TooSlow):
        return SourceStalled(source=source, detail=str(error))
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return SourceUnreachable(source=source, detail="connection closed")
    if isinstance(error, ssl.SSLError):
        return TlsError(source=source, detail=str(error))
    if isinstance(error, ConnectionError):
        return SourceUnreachable(source=source, detail=error.strerror or "connection closed")
    if isinstance(error, http.client.HTTPException):
        # What the other side said may be long, and hold signs that steer a terminal.
        said = f" {str(error)[:200]!r}" if str(error) else ""
        return SourceBroken(source=source, detail=f"{type(error).__name__}{said}")
    if isinstance(error, TimeoutError):
        return SourceUnreachable(source=source, detail="no answer in time")
    return SourceUnreachable(source=source, detail=getattr(error, "strerror", None) or str(error))


def check_framing(response: http.client.HTTPResponse, source: str) -> None:
    """Refuse an answer about whose length two readers could differ. Raises SourceBroken.

    http.client takes the first of several lengths, and reads to the end of the connection when it
    does not understand one. Source: RFC 9112, section 6.3.
    """
    if response.status < 200:
        # The answer proper comes behind it, and would be taken for that of the next request.
        raise SourceBroken(source=source, detail=f"sent HTTP {response.status} unasked")
    if response.headers.get("transfer-encoding") and not response.chunked:
        raise SourceBroken(source=source, detail="sent a transfer encoding that is not chunked")
    stated = {length.strip(" \t") for length in response.headers.get_all("content-length", [])}
    if len(stated) > 1 or not all(map(_is_length, stated)):
        raise SourceBroken(
            source=source, detail=f"stated the length {' and '.join(sorted(stated))[:40]!r}"
        )


def _is_length(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
