"""N27 to N40: encodings, redirects, changes midway, odd servers, answers that are askew."""

from __future__ import annotations

import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitstation.core.digest import digest_of
from bitstation.errors import BitStationError, RedirectRefused, SourceBroken, SourceError
from bitstation.testing.lies import http as lies
from bitstation.testing.lies.http import MODEL_DIGEST, head_of
from bitstation.testing.lies.releases import MODEL
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.testing.scripted_hq import ScriptedHq
from bitstation.testing.web_server import Asked, Said, WebServer, said, serving
from bitstation.transport.failures import RangeIgnored
from bitstation.transport.hq import HqSource
from bitstation.transport.http import MAX_REDIRECTS
from tests.attack.network import (
    AUTHORITY,
    NAME,
    RECEIVED,
    Names,
    Worker,
    source_at,
    tls,
)

SECRET = "a-token-that-nobody-else-may-see"

pytestmark = pytest.mark.usefixtures("source")


def test_n27_gzip_encoding_on_a_blob(worker: Worker, source: HqSource):
    """R, without unpacking: 10 MB of zeros in 10 KB are not even read."""
    worker.hq.twist = lies.packed()
    worker.refuses_then_heals(source, SourceBroken)


def test_n28_redirect_within_the_origin(worker: Worker, server: WebServer, source: HqSource):
    """H."""

    def moved(asked: Asked, honest: Said) -> Said:
        if asked.target.startswith("/cdn"):
            return worker.hq._honest(asked._replace(target=asked.target.removeprefix("/cdn")))
        return said(307, b"", {"Location": f"/cdn{asked.target}"})

    worker.hq.twist = moved
    worker.heals(source)


def led_to(worker: Worker, source: HqSource, location: str) -> BitStationError:
    """What a worker says to a redirect of everything, and of the model alone."""
    answer = said(302, b"", {"Location": location})
    worker.hq.twist = lambda _asked, _honest: answer
    worker.refuses(source, RedirectRefused)
    worker.hq.twist = lies.redirected(location)
    error = worker.refuses_then_heals(source, RedirectRefused)
    assert isinstance(error, SourceError)
    assert not error.retryable
    return error


def test_n29_redirect_to_http(worker: Worker, names: Names, monkeypatch: pytest.MonkeyPatch):
    """R: what was asked for over TLS comes over TLS."""
    monkeypatch.setenv("BITSTATION_CA_FILE", str(AUTHORITY))
    with (
        serving(worker.hq, tls("server")) as server,
        source_at(f"https://{NAME}:{server.port}") as source,
    ):
        led_to(worker, source, f"http://{NAME}:{server.port}/")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "FILE:/c:/windows/win.ini", "data:,x"])
def test_n30_redirect_to_file(worker: Worker, source: HqSource, location: str):
    """R."""
    led_to(worker, source, location)


def test_n31_redirect_to_another_host(worker: Worker, source: HqSource):
    """R, and nobody is asked there."""
    with serving(lambda _asked: said(200, MODEL)) as elsewhere:
        led_to(worker, source, f"{elsewhere.url}/model")
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "localhost:{port}", "[::1]:{port}", "0:{port}", "2852039166", "[fd00::1]"],
)
def test_n32_redirect_inwards(worker: Worker, server: WebServer, source: HqSource, host: str):
    """R: addresses of the machine itself and of its cloud are other hosts like any."""
    led_to(worker, source, f"http://{host.format(port=server.port)}/latest/meta-data/")


def test_n33_redirect_loop(worker: Worker, server: WebServer, source: HqSource):
    """R after a few steps."""
    before = len(server.asked)
    worker.hq.twist = lies.redirected_in_a_circle()
    worker.refuses(source, SourceBroken)
    assert len(server.asked) - before == MAX_REDIRECTS + 1


def test_n34_credentials_on_redirect(worker: Worker, server: WebServer):
    """R: nothing reaches the other host, and no error shows the token."""
    with (
        serving(lambda _asked: said(200, MODEL)) as elsewhere,
        source_at(server.url, token=SECRET) as source,
    ):
        error = led_to(worker, source, f"http://user@127.0.0.1:{elsewhere.port}/")
        assert elsewhere.connections == 0
    assert server.asked[-1].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in str(error) + repr(error) + str(error.fields)


def test_n35_etag_changes_midway(worker: Worker, server: WebServer, source: HqSource):
    """H: that blob is read anew, and no other."""
    worker.hq.twist = lies.another_tag_midway()
    worker.heals(source)
    steps = [asked for asked in server.asked if asked.target.endswith(MODEL_DIGEST)]
    assert len(steps) > 2
    others = [asked.target for asked in server.asked if asked.target.endswith(digest_of(b"new"))]
    assert len(others) == 1


def test_n36_if_range_mismatch(worker: Worker, server: WebServer, source: HqSource):
    """R without corruption: a whole file is never taken for its rest; and no condition is sent."""
    worker.hq.twist = lies.always_the_whole()
    assert not worker.refuses_then_heals(source, RangeIgnored).retryable
    assert all("if-range" not in asked.headers for asked in server.asked)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(count=st.integers(1, 65_536))
def test_n37_connection_dies_after_each_n_bytes(worker: Worker, count: int):
    """H, for every n: no byte is lost, doubled or out of place, nor received twice."""
    data = (MODEL * 2)[: 5 * count + count // 2]
    release = make_release({"m.bin": data, "a.txt": b"old"}, "1.0.0")
    hq = ScriptedHq(release)
    hq.lie_about_blobs(lambda _asked, honest: honest.cut(head_of(honest) + count))
    with serving(hq) as server, source_at(server.url) as source:
        assert read_on(source, release, "m.bin") == data
        assert worker.updater.tree.current_version() == "1.0.0"
        # Until its end, or one more for a last piece of no bytes.
        assert len(server.asked) in (-(-len(data) // count), -(-len(data) // count) + 1)


def read_on(source: HqSource, release: Release, path: str) -> bytes:
    """A blob, each failure followed by a request for the rest."""
    data = bytearray()
    block = memoryview(bytearray(100_000))
    wanted = release.files[path]
    while len(data) < len(wanted):
        try:
            with source.read_range(digest_of(wanted), len(data), len(wanted) - len(data)) as reader:
                while found := reader.readinto(block):
                    data += block[:found]
        except SourceError as error:
            if not error.retryable:
                raise
    return bytes(data)


@pytest.mark.parametrize("count", [100_000, 65_536, 99_999])
def test_n37_a_whole_update_over_connections_that_die(worker: Worker, source: HqSource, count: int):
    """H."""
    worker.hq.lie_about_blobs(lambda _asked, honest: honest.cut(head_of(honest) + count))
    assert worker.heals(source).bytes_downloaded == RECEIVED


def test_n38_http_1_0(worker: Worker, source: HqSource):
    """H."""
    worker.hq.twist = lies.old_version()
    worker.heals(source)


def test_n39_dual_stack_with_a_dead_v6(
    worker: Worker, server: WebServer, names: Names, monkeypatch: pytest.MonkeyPatch
):
    """H: the address that swallows everything costs its share of the time once."""
    names.known[NAME] = [
        (socket.AF_INET6, "2001:db8::1"),
        (socket.AF_INET6, "2001:db8::2"),
        (socket.AF_INET, "127.0.0.1"),
    ]
    tried: list[tuple[str, float]] = []
    connect = socket.create_connection

    def noting(address: tuple[str, int], timeout: float = 30) -> socket.socket:
        tried.append((address[0], timeout))
        if ":" in address[0]:
            raise TimeoutError
        return connect(address, timeout)

    monkeypatch.setattr(socket, "create_connection", noting)
    with source_at(f"http://{NAME}:{server.port}") as source:
        worker.heals(source)
    # Families alternate, so the second dead one is never waited for.
    assert [address for address, _ in tried[:2]] == ["2001:db8::1", "127.0.0.1"]
    assert {address for address, _ in tried[2:]} <= {"127.0.0.1"}
    assert tried[0][1] < 4


def test_n39_only_v6(worker: Worker, names: Names):
    """H."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("needs IPv6")
    with serving(worker.hq, listener=listener) as server:
        names.known[NAME] = [(socket.AF_INET6, "::1")]
        for host in (NAME, "[::1]"):
            with source_at(f"http://{host}:{server.port}") as source:
                source.resolve(TOOL_ID, "1.1.0")
        with source_at(f"http://[::1]:{server.port}") as source:
            worker.heals(source)
        assert server.asked[-1].headers["host"] == f"[::1]:{server.port}"


def test_n40_every_answer_twice(worker: Worker, server: WebServer, source: HqSource):
    """H: what nobody asked for is never taken for the next answer."""
    worker.hq.twist = lies.doubled()
    worker.heals(source)


def test_n40_answers_out_of_order(worker: Worker, source: HqSource):
    """R: whatever is answered to another question, nothing wrong is installed."""
    late: list[Said] = []

    def one_late(_asked: Asked, honest: Said) -> Said:
        late.append(honest)
        return late[-2] if len(late) > 1 else said(200, b"[]")

    worker.hq.twist = one_late
    with pytest.raises(BitStationError):
        worker.updater.update(source, "1.1.0")
    assert worker.updater.tree.current_version() == "1.0.0"
    worker.hq.twist = lambda _asked, honest: honest
    worker.heals(source)


@pytest.mark.parametrize("name", lies.SPLITS)
def test_n40_response_splitting(worker: Worker, source: HqSource, name: str):
    """R: a head of which two readers could make two things."""
    worker.hq.twist = lies.split(name)
    worker.refuses_then_heals(source, SourceBroken)


def test_n40_a_late_answer_is_not_believed(worker: Worker, source: HqSource):
    """H: an early hint of the first answer does not shift those that follow."""
    worker.hq.twist = lies.at_times(lambda honest: Said(b"HTTP/1.1 103 So\r\n\r\n" + honest.data))
    worker.heals(source)
