"""N1 to N26: names, connections, certificates, proxies, statuses, lengths and slowness.

N27 to N40 stand in test_network_answers.py.

What each must end in: refused (typed error, nothing changed, a rerun against the truth succeeds),
healed, or an error that says whether the same source may be asked again, so that another is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from bitstation.errors import (
    NotFound,
    SourceBroken,
    SourceError,
    SourceUnreachable,
    TlsError,
    TokenRefused,
)
from bitstation.testing.lies import http as lies
from bitstation.testing.lies.http import MODEL_DIGEST, SIZE, of_model
from bitstation.testing.lies.releases import MODEL
from bitstation.testing.scripted_hq import Twist, problem
from bitstation.testing.web_server import Asked, Said, Then, WebServer, said, serving
from bitstation.transport import http
from bitstation.transport.failures import ProxyError, RangeRefused, SourceRefused, SourceStalled
from bitstation.transport.hq import HqSource
from bitstation.worker.intake import ATTEMPTS
from tests.attack.network import (
    AUTHORITY,
    IMPATIENT,
    NAME,
    NEW,
    RECEIVED,
    Names,
    Worker,
    source_at,
    tls,
)

pytestmark = pytest.mark.usefixtures("source")


def asked_for_model(server: WebServer) -> list[Asked]:
    return [asked for asked in server.asked if asked.target.endswith(MODEL_DIGEST)]


def test_n01_dns_fails(worker: Worker, names: Names):
    """R, and retryable: names come back."""
    names.known.clear()
    with source_at(f"http://{NAME}") as source:
        error = worker.refuses(source, SourceUnreachable)
    assert error.retryable
    assert NAME in str(error)


def test_n02_refused(worker: Worker):
    """R, and retryable."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with source_at(f"http://127.0.0.1:{port}") as source:
        assert worker.refuses(source, SourceUnreachable).retryable


def refused_over_tls(worker: Worker, certificate: str, host: str = NAME) -> TlsError:
    """What a worker says of an HQ with this certificate, of which it asked nothing."""
    with serving(worker.hq, tls(certificate)) as server:
        with source_at(f"https://{host}:{server.port}") as source:
            error = worker.refuses(source, TlsError, 41)
        assert server.asked == []
    assert isinstance(error, TlsError)
    assert not error.retryable
    return error


def test_n03_tls_expired(worker: Worker, names: Names, monkeypatch: pytest.MonkeyPatch):
    """R: says that it is the time."""
    monkeypatch.setenv("BITSTATION_CA_FILE", str(AUTHORITY))
    assert "too old" in str(refused_over_tls(worker, "expired"))


def test_n04_tls_wrong_host(worker: Worker, names: Names, monkeypatch: pytest.MonkeyPatch):
    """R: says that it is the name."""
    monkeypatch.setenv("BITSTATION_CA_FILE", str(AUTHORITY))
    names.known["other.invalid"] = names.known[NAME]
    assert "another host" in str(refused_over_tls(worker, "server", "other.invalid"))


@pytest.mark.parametrize("variable", ["BITSTATION_CA_FILE", "SSL_CERT_FILE"])
def test_n05_tls_corporate_authority_configured(
    worker: Worker, names: Names, monkeypatch: pytest.MonkeyPatch, variable: str
):
    """H."""
    monkeypatch.setenv(variable, str(AUTHORITY))
    with serving(worker.hq, tls("server")) as server:
        with source_at(f"https://{NAME}:{server.port}") as source:
            worker.heals(source)
        # One for the requests one after the other, and one for each file fetched at once.
        assert server.connections <= 3


def test_n06_tls_corporate_authority_not_configured(worker: Worker, names: Names):
    """R: names the authority, and the setting to name it in."""
    error = refused_over_tls(worker, "server")
    assert "Test Corporation Root" in str(error)
    assert "BITSTATION_CA_FILE" in error.advice()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_n07_proxy_407(worker: Worker, names: Names, monkeypatch: pytest.MonkeyPatch, scheme: str):
    """R with exit code 41; the proxy's password is shown nowhere."""
    with serving(lambda _asked: said(407, b"who are you?")) as proxy:
        address = f"http://user:secret@127.0.0.1:{proxy.port}"
        monkeypatch.setenv(f"{scheme}_proxy", address)
        with source_at(f"{scheme}://{NAME}") as source:
            error = worker.refuses(source, ProxyError, 41)
        assert "proxy-authorization" in proxy.asked[0].headers
    assert f"127.0.0.1:{proxy.port}" in str(error)
    assert "secret" not in str(error) + repr(error) + str(error.fields)


@pytest.mark.parametrize("path", ["", "offer.json", MODEL_DIGEST])
def test_n08_captive_portal(worker: Worker, source: HqSource, path: str):
    """R, and retryable: somebody signs in."""
    worker.hq.twist = lies.of_what_ends(path, lies.SIGN_IN)
    assert worker.refuses_then_heals(source, SourceBroken).retryable


def test_n09_404_of_one_file(worker: Worker, server: WebServer, source: HqSource):
    """F: asked for once, then it is another source's turn."""
    worker.hq.twist = of_model(said(404, b"<h1>Not Found</h1>"))
    assert not worker.refuses_then_heals(source, NotFound).retryable
    assert len(asked_for_model(server)) == 2


def test_n10_403(worker: Worker, server: WebServer, source: HqSource):
    """F of a file server, which forbids what it lacks; R where HQ says that it is the token."""
    worker.hq.twist = of_model(said(403, b"<Error>AccessDenied</Error>"))
    assert not worker.refuses(source, SourceRefused).retryable
    assert len(asked_for_model(server)) == 1
    worker.hq.twist = of_model(problem(403, "token-refused"))
    assert not worker.refuses_then_heals(source, TokenRefused, 31).retryable


def test_n11_429_with_retry_after(worker: Worker, server: WebServer, source: HqSource):
    """H: it waits as long as it was told to."""
    moments: list[float] = []

    def busy_once(asked: Asked, honest: Said) -> Said:
        if not asked.target.endswith(MODEL_DIGEST):
            return honest
        moments.append(time.monotonic())
        return honest if len(moments) > 1 else lies.BUSY

    worker.hq.twist = busy_once
    worker.heals(source)
    assert moments[1] - moments[0] >= 0.99


def test_n12_500_again_and_again(worker: Worker, server: WebServer, source: HqSource):
    """H while attempts are left, else R; the pauses are tested with the rule that makes them."""
    worker.hq.twist = lies.at_times(said(500), ATTEMPTS)
    worker.heals(source)
    assert len(asked_for_model(server)) == ATTEMPTS


def test_n12_500_without_end(worker: Worker, server: WebServer, source: HqSource):
    """R after so many attempts, and another source may do."""
    worker.hq.twist = of_model(said(500))
    assert worker.refuses(source, SourceError).retryable
    assert len(asked_for_model(server)) == ATTEMPTS


def test_n13_503(worker: Worker, server: WebServer, source: HqSource):
    """R after so many attempts; the error carries when to come back, bounded."""
    worker.hq.twist = lambda _asked, _honest: said(503, b"", {"Retry-After": "86400"})
    error = worker.refuses_then_heals(source, SourceError)
    assert isinstance(error, SourceError)
    assert error.retryable
    assert error.retry_after_s == 120


def test_n14_range_ignored(worker: Worker, server: WebServer, source: HqSource):
    """H: whole files are taken whole. In the middle of one: contract/test_hq_client.py."""
    worker.hq.twist = of_model(said(200, MODEL))
    assert worker.heals(source).bytes_downloaded == RECEIVED


@pytest.mark.parametrize("span", [f"1-{SIZE}/{SIZE + 1}", f"0-{SIZE - 1}/{SIZE - 1}", "all", ""])
def test_n15_206_with_another_content_range(worker: Worker, source: HqSource, span: str):
    """R."""
    worker.hq.twist = lies.part(MODEL, {"Content-Range": f"bytes {span}"})
    worker.refuses_then_heals(source, SourceBroken)


@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1, 1])
def test_n16_206_of_another_length(worker: Worker, source: HqSource, size: int):
    """R."""
    worker.hq.twist = lies.part_of(size)
    worker.refuses_then_heals(source, SourceBroken)


def test_n17_416_on_a_complete_part(worker: Worker, server: WebServer, source: HqSource):
    """H: what is complete is not asked about. Elsewhere it says: another file; not retryable."""
    whole = [Then.CLOSE]

    def whole_then_416(honest: Said) -> Said:
        return Said(honest.data, whole.pop()) if whole else said(416)

    worker.hq.twist = of_model(whole_then_416)
    worker.heals(source)
    assert len(asked_for_model(server)) == 1


def test_n17_416_on_a_part_that_is_lacking(worker: Worker, server: WebServer, source: HqSource):
    """R, and not retryable: the file there is another one."""
    worker.hq.twist = of_model(said(416, b"", {"Content-Range": "bytes */3"}))
    assert not worker.refuses_then_heals(source, RangeRefused).retryable


def test_n18_multipart_unasked(worker: Worker, source: HqSource):
    """R, whatever else it states."""
    kind = {"Content-Type": "multipart/byteranges; boundary=x"}
    worker.hq.twist = lies.part(MODEL, kind)
    worker.refuses_then_heals(source, SourceBroken)


def test_n19_content_length_too_small(worker: Worker, source: HqSource):
    """R: the rest would be taken for the next answer."""
    lengths = {"Content-Length": str(SIZE - 100)}
    worker.hq.twist = lies.part(MODEL, lengths)
    worker.refuses_then_heals(source, SourceBroken)


def test_n20_content_length_too_large(worker: Worker, source: HqSource):
    """R of a part."""
    lengths = {"Content-Length": str(SIZE + 100)}
    worker.hq.twist = lies.part(MODEL, lengths, Then.CLOSE)
    worker.refuses_then_heals(source, SourceBroken)


def test_n21_content_length_missing(worker: Worker, source: HqSource):
    """H: how long a part must be is known."""
    worker.hq.twist = lies.without_length()
    worker.heals(source)


def test_n22_chunked_truncated(worker: Worker, server: WebServer, source: HqSource):
    """H: what came is kept, the rest is asked for."""
    worker.hq.twist = lies.chunks_cut_short()
    assert worker.heals(source).bytes_downloaded == RECEIVED
    assert len(asked_for_model(server)) == 2


@pytest.mark.parametrize("endless", [lies.endless, lies.endless_chunks])
def test_n23_endless_data(worker: Worker, source: HqSource, endless: Callable[[], Twist]):
    """H: cut at the file's size, of which the bytes are proved; nothing more is received."""
    worker.hq.twist = endless()
    assert worker.heals(source).bytes_downloaded == RECEIVED


def test_n23_endless_manifest(worker: Worker, source: HqSource):
    """R: bounded by what a manifest may be."""
    worker.hq.twist = lies.endless_manifest(NEW.manifest.encode())
    worker.refuses_then_heals(source, SourceBroken)


@pytest.mark.parametrize("count", [0, 1, SIZE // 2, SIZE - 1])
def test_n24_reset_in_the_body(worker: Worker, source: HqSource, count: int):
    """H."""
    worker.hq.twist = lies.at_times(lies.cut_at(count, Then.RESET))
    worker.heals(source)


def test_n24_reset_in_the_head(worker: Worker, source: HqSource):
    """H."""
    worker.hq.twist = lies.at_times(lambda honest: honest.cut(10, Then.RESET))
    worker.heals(source)


@pytest.mark.parametrize("count", [0, 5, 100, 5000])
def test_n25_slow_loris(worker: Worker, server: WebServer, count: int):
    """F: cut by the smallest rate, be it in the head or the body, and not asked for ever."""
    worker.hq.twist = lies.dribbled(count)
    with source_at(server.url, IMPATIENT) as source:
        error = worker.refuses(source, SourceStalled)
    assert error.retryable
    assert len(asked_for_model(server)) == ATTEMPTS


@pytest.mark.parametrize("count", [100, 5000])
def test_n26_stall_without_close(
    worker: Worker, source: HqSource, monkeypatch: pytest.MonkeyPatch, count: int
):
    """F."""
    worker.hq.twist = lies.stalled(count)
    with monkeypatch.context() as patch:
        patch.setattr(http, "READ_TIMEOUT_S", 0.1)
        error = worker.refuses(source, SourceStalled if count > 200 else SourceUnreachable)
    assert error.retryable
