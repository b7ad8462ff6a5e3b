"""One large file from the web: resumed where an earlier run stopped, proved before it is used."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bitstation.core.digest import Digest, digest_of
from bitstation.errors import DigestMismatch, NotFound, SourceBroken, SourceError
from bitstation.publisher.lock import LockedModel
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.proving import prove_files
from bitstation.transport.http import HttpClient
from bitstation.transport.http_stream import Stream

_BLOCK_BYTES = 1024 * 1024
_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.5


class _Origin(msgspec.Struct, frozen=True):
    """Of what the bytes that we hold are the beginning."""

    address: Digest
    """Of the address, for a signed one holds its key."""
    validator: str


class Download:
    """Brings a locked model into ``part``; what came stays there when the run is interrupted.

    A file ``.from`` beside it keeps address and validator (ETag), so that a later run goes on
    with the same file only.
    """

    def __init__(
        self,
        model: LockedModel,
        part: Path,
        ledger: Ledger,
        disk: Disk,
        *,
        on_bytes: OnBytes,
        stop: Stop,
    ) -> None:
        self.received_bytes = 0
        self._model = model
        self._part = part
        self._origin = part.with_suffix(".from")
        self._ledger = ledger
        self._disk = disk
        self._on_bytes = on_bytes
        self._stop = stop
        self._client = HttpClient(model.url, any_https_host=True)
        self._address = digest_of(model.url.encode("utf-8"))

    @property
    def missing_bytes(self) -> int:
        """What there is still to receive."""
        return self._model.size - self._have()

    def run(self) -> None:
        """Complete ``part`` and prove it; the ledger then holds the proof.

        Raises SourceError, DigestMismatch (then nothing is kept), UpdateCancelled, OSError.
        """
        try:
            is_resumed = self._have() > 0
            actual = self._completed()
            if actual != self._model.sha256 and is_resumed:
                # Without a validator the beginning may have been of an earlier file there.
                self.drop()
                actual = self._completed()
        finally:
            self._client.close()
        if actual != self._model.sha256:
            self.drop()
            raise DigestMismatch(
                path=self._model.path,
                source=self._model.url,
                expected=self._model.sha256,
                actual=actual,
            )

    def drop(self) -> None:
        """Remove what was kept for going on later."""
        self._disk.remove(self._part)
        self._disk.remove(self._origin)

    def _completed(self) -> Digest | None:
        """Receive what is missing; the digest of the whole."""
        failures = 0
        while not self._part.exists() or self._have() < self._model.size:
            before = self._have()
            try:
                self._receive(before)
            except SourceError as error:
                failures = 1 if self._have() > before else failures + 1
                if not error.retryable or failures >= _ATTEMPTS:
                    raise
                self._stop.wait(_FIRST_PAUSE_S * 2 ** (failures - 1))
        return prove_files([self._part], self._ledger, stop=self._stop)[0].digest

    def _have(self) -> int:
        """Bytes that we hold of this very file; others are dropped."""
        try:
            size_bytes = self._part.stat().st_size
        except FileNotFoundError:
            return 0
        origin = self._known_origin()
        is_other = origin is None or origin.address != self._address
        if is_other or size_bytes > self._model.size:
            self.drop()
            return 0
        return size_bytes

    def _known_origin(self) -> _Origin | None:
        try:
            return msgspec.json.decode(self._origin.read_bytes(), type=_Origin)
        except (OSError, msgspec.MsgspecError, UnicodeError):
            return None

    def _receive(self, have: int) -> None:
        origin = self._known_origin()
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and origin and origin.validator:
            headers["If-Range"] = origin.validator
        parts = urlsplit(self._model.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        stream = self._client.open("GET", target, headers=headers)
        try:
            if stream.status == 416 and have:
                self.drop()
                return
            start = self._start_of(stream, have)
            if start == 0:
                self.drop()
                found = _Origin(self._address, _validator(stream))
                self._disk.write_file(self._origin, msgspec.json.encode(found))
            self._copy(stream, start)
        finally:
            stream.close()

    def _start_of(self, stream: Stream, have: int) -> int:
        """Offset of the body's first byte. Raises what an answer means that is not the file."""
        url, headers = self._model.url, stream.headers
        if stream.status == 404:
            raise NotFound(source=self._client.name, what=url)
        if stream.status not in (200, 206):
            raise SourceError(source=url, detail=f"HTTP {stream.status}")
        if headers.get("content-encoding", "identity") != "identity":
            raise SourceBroken(source=url, detail="sent a content encoding that was not asked for")
        start = have if stream.status == 206 else 0
        left = self._model.size - start
        span = f"bytes {start}-{self._model.size - 1}/{self._model.size}"
        if stream.status == 206 and headers.get("content-range") != span:
            raise SourceBroken(source=url, detail=f"sent another range than {span}")
        if headers.get("content-length", str(left)) != str(left):
            length = headers["content-length"]
            raise WrongLength(source=url, actual=length, expected=left, path=self._model.path)
        return start

    def _copy(self, stream: Stream, start: int) -> None:
        block = memoryview(bytearray(_BLOCK_BYTES))
        done = start
        with self._disk.open_append(self._part) as file:
            while count := stream.readinto(block):
                self._stop.check()
                done += count
                if done > self._model.size:
                    raise WrongLength(
                        source=self._model.url,
                        actual=f"more than {self._model.size}",
                        expected=self._model.size,
                        path=self._model.path,
                    )
                self._disk.write(file, block[:count])
                self.received_bytes += count
                self._on_bytes(count)
            stream.finish()
        self._disk.settle_path(self._part)


class WrongLength(SourceError):
    """The host has a file of another size, so it is another file: asking again is no use."""

    code = "wrong-length"
    exit_code = 30
    retryable = False
    message = "{source} has {actual} bytes where the lock of {path} says {expected}"
    hint = "correct models.lock.json, or the address in it"


def _validator(stream: Stream) -> str:
    """What If-Range may hold: a strong ETag, else the date. Source: RFC 9110, section 13.1.5."""
    etag = stream.headers.get("etag", "")
    return etag if etag.startswith('"') else stream.headers.get("last-modified", "")
