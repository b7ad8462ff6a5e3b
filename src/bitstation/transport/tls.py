"""Who is trusted over TLS, and what to say when somebody is not."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator

from bitstation.errors import TlsError, UsageError

CA_FILE_VARIABLE = "BITSTATION_CA_FILE"

# X509_V_ERR_...: issuer unknown in five ways. Source: openssl/x509_vfy.h.
_UNKNOWN_ISSUER = {18, 19, 20, 21, 27}
_EXPIRED = 10
_WRONG_NAME = {62, 64}
_COMMON_NAME = b"\x55\x04\x03"
_ORGANISATION = b"\x55\x04\x0a"


def trusting_context() -> ssl.SSLContext:
    """Trust in the system's certificates (or SSL_CERT_FILE, SSL_CERT_DIR) and BITSTATION_CA_FILE.

    Raises UsageError when that file holds no certificates. Cost: 27 ms on Debian, so one a client.
    """
    context = ssl.create_default_context()
    if named := os.environ.get(CA_FILE_VARIABLE):
        try:
            context.load_verify_locations(cafile=named)
        except OSError as error:
            reason = error.strerror or "it holds no certificate"
            raise UsageError(detail=f"cannot use {CA_FILE_VARIABLE} {named}: {reason}") from error
    return context


def tls_error(error: ssl.SSLError, source: str, issuer: Callable[[], str]) -> TlsError:
    """Why a handshake failed; ``issuer`` is asked only where its answer helps."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(source=source, detail=error.reason or str(error))
    said = error.verify_message
    if error.verify_code in _UNKNOWN_ISSUER:
        found = issuer()
        named = f"issued by {found}, which" if found else "whose issuer"
        return TlsError(
            source=source, detail=f"its certificate, {named} is not trusted here: {said}"
        )
    if error.verify_code == _EXPIRED:
        said = f"its certificate is too old, or this machine's clock is wrong: {said}"
    elif error.verify_code in _WRONG_NAME:
        said = f"its certificate is for another host: {said}"
    return TlsError(source=source, detail=said)


def issuer_in(certificate: bytes) -> str:
    """Issuer's name in a DER certificate, short and harmless to show; empty when it has none.

    The ssl module gives names only of certificates that it has verified.
    """
    try:
        [outer] = _parts(certificate)
        fields = _parts(_parts(outer[1])[0][1])
        # An optional version [0], then serial number, algorithm, issuer. Source: RFC 5280, 4.1.
        issuer = fields[3 if fields[0][0] == 0xA0 else 2]
        names = dict(_names(issuer[1]))
    except (IndexError, ValueError):
        return ""
    found = names.get(_COMMON_NAME) or names.get(_ORGANISATION) or b""
    text = found.decode("utf-8", "replace")[:100]
    return ascii(text) if text else ""


def _names(issuer: bytes) -> Iterator[tuple[bytes, bytes]]:
    for _tag, group in _parts(issuer):
        for _tag, pair in _parts(group):
            (_, kind), (_, value) = _parts(pair)[:2]
            yield kind, value


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of the elements in ``data``. Raises IndexError, ValueError."""
    found = []
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            if not 0 < count <= 4:
                raise ValueError("no length")
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + length > len(data):
            raise ValueError("cut")
        found.append((tag, data[at : at + length]))
        at += length
    return found
