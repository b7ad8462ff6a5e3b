"""Small parts of the HTTP transport: a watch of rates, names in certificates, addresses in turn."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.errors import SourceUnreachable, UsageError
from bitstation.transport import dialing
from bitstation.transport.arrivals import RateWatch, SlowestRate, TooSlow
from bitstation.transport.dialing import MAX_ADDRESSES, Dialer, Limits
from bitstation.transport.filling import MOMENT_S, Filling
from bitstation.transport.http import parse_base
from bitstation.transport.tls import issuer_in

AUTHORITY = Path(__file__).parents[1] / "attack/certificates/authority.pem"
DER = ssl.PEM_cert_to_DER_cert(AUTHORITY.read_text("ascii"))


# --- rates ---------------------------------------------------------------------------------------


def watched(arrivals: list[tuple[int, float]]) -> int:
    """How many of these arrivals (bytes, seconds waited) are let through."""
    watch = RateWatch(SlowestRate(bytes_per_s=100, window_s=10))
    for number, (count, waited_s) in enumerate(arrivals):
        try:
            watch.count(count, waited_s)
        except TooSlow:
            return number
    return len(arrivals)


def test_a_trickle_is_cut_at_the_end_of_its_window():
    assert watched([(1, 1.0)] * 100) == 10
    assert watched([(90, 1.0)] * 100) == 10
    assert watched([(110, 1.0)] * 100) == 100


def test_a_fast_beginning_pays_for_no_more_than_one_window():
    assert watched([(10**9, 0.0)] + [(1, 1.0)] * 100) == 20


def test_who_is_slow_to_ask_blames_nobody():
    assert watched([(1, 0.0)] * 10_000) == 10_000


def test_how_long_the_first_byte_takes_is_not_its_rate():
    assert watched([(1, 29.0), (2000, 1.0), (2000, 15.0)]) == 3


# --- certificates --------------------------------------------------------------------------------


def test_a_certificate_names_its_issuer():
    assert issuer_in(DER) == "'Test Corporation Root'"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_search_for_an_issuer(data: bytes):
    assert issuer_in(data).isprintable()


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_no_byte_changed_breaks_the_search_for_an_issuer(place: int, value: int):
    changed = DER[:place] + bytes([value]) + DER[place + 1 :]
    assert issuer_in(changed).isprintable()
    assert len(issuer_in(DER[:place])) < 500


# --- addresses -----------------------------------------------------------------------------------


class Network:
    """Connections that time out after all the time they are given, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
        self.now_s = 0.0
        self.tried: list[str] = []
        self.alive: set[str] = set()
        rows = [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, 80))
            for each in addresses
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: rows)
        monkeypatch.setattr(socket, "create_connection", self._connect)
        monkeypatch.setattr(dialing.time, "monotonic", lambda: self.now_s)

    def _connect(self, address: tuple[str, int], timeout: float) -> socket.socket:
        self.tried.append(address[0])
        if address[0] in self.alive:
            return socket.socket()
        self.now_s += timeout
        raise TimeoutError("timed out")


PARTS = parse_base("http://hq.example/")
LIMITS = Limits(connect_s=10, read_s=30)


def test_all_addresses_together_take_no_longer_than_one(monkeypatch: pytest.MonkeyPatch):
    network = Network(monkeypatch, [f"10.0.0.{number}" for number in range(100)])
    with pytest.raises(TimeoutError):
        Dialer("it", SlowestRate()).connect(PARTS, LIMITS)
    assert len(network.tried) == MAX_ADDRESSES
    assert network.now_s == pytest.approx(10)


def test_families_alternate_and_what_worked_is_tried_first(monkeypatch: pytest.MonkeyPatch):
    network = Network(monkeypatch, ["fd00::1", "fd00::2", "fd00::3", "10.0.0.1", "10.0.0.2"])
    network.alive = {"10.0.0.2"}
    dialer = Dialer("it", SlowestRate())
    dialer.connect(PARTS, LIMITS).close()
    assert network.tried == ["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2"]
    dialer.connect(PARTS, LIMITS).close()
    assert network.tried[4:] == ["10.0.0.2"]
    network.alive = {"fd00::1"}
    dialer.connect(PARTS, LIMITS).close()
    assert network.tried[5:] == ["10.0.0.2", "fd00::1"]


# --- blocks --------------------------------------------------------------------------------------


class Arrivals:
    """A reader of given arrivals, each a moment after the one before, then a failure or the end."""

    def __init__(self, *arrivals: bytes, each_s: float = 0.0, failure: bool = False) -> None:
        self.now_s = 0.0
        self._arrivals = list(arrivals)
        self._each_s = each_s
        self._failure = failure

    def clock(self) -> float:
        return self.now_s

    def readinto(self, buffer: memoryview, /) -> int:
        self.now_s += self._each_s
        if not self._arrivals:
            if self._failure:
                raise SourceUnreachable(source="it", detail="gone")
            return 0
        data = self._arrivals.pop(0)
        taken = min(len(data), len(buffer))
        buffer[:taken] = data[:taken]
        if data[taken:]:
            self._arrivals.insert(0, data[taken:])
        return taken

    def close(self) -> None:
        """Nothing is open."""


def test_an_address_that_is_no_text_is_refused():
    with pytest.raises(UsageError, match="is not an address"):
        parse_base("http://hq.example/\udc80")


def blocks(inner: Arrivals, length: int = 4) -> list[bytes]:
    reader = Filling(inner, inner.clock)
    block = memoryview(bytearray(length))
    found = []
    while count := reader.readinto(block):
        found.append(bytes(block[:count]))
    return found


def test_fast_arrivals_fill_blocks():
    assert blocks(Arrivals(b"a", b"bcdef", b"g")) == [b"abcd", b"efg"]


def test_slow_arrivals_are_given_after_a_moment():
    assert blocks(Arrivals(*[b"a"] * 5, each_s=0.003), 9) == [b"aaa", b"aa"]
    assert blocks(Arrivals(*[b"a"] * 3, each_s=9.0)) == [b"aa", b"a"]


def test_what_is_here_does_not_wait_for_more():
    class Pausing(Arrivals):
        def comes_within(self, seconds: float) -> bool:
            assert 0 < seconds <= MOMENT_S
            return len(self._arrivals) != 1

    assert blocks(Pausing(b"a", b"b", b"c"), 9) == [b"ab", b"c"]


def test_what_came_before_a_failure_is_given_first():
    inner = Arrivals(b"ab", failure=True)
    reader = Filling(inner, inner.clock)
    block = memoryview(bytearray(9))
    assert reader.readinto(block) == 2
    for _ in range(2):
        with pytest.raises(SourceUnreachable):
            reader.readinto(block)
