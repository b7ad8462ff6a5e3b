"""Group N: what is done to honest answers on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bitstation.testing.attacks.attack import Attack, harmless, honest, refused
from bitstation.testing.lies import http
from bitstation.testing.lies.releases import MODEL, NEW
from bitstation.testing.scripted_hq import Twist, problem
from bitstation.testing.web_server import Then, said
from bitstation.worker.intake import ATTEMPTS

Making = Callable[[], Twist]


def _broken(
    name: str, does: str, twist: Making, code: str = "source-broken", **more: Any
) -> Attack:
    return refused(name, does, honest, code, twist=twist, **{"exit_code": 40, **more})


def _heals(name: str, does: str, twist: Making, **more: Any) -> Attack:
    return harmless(name, does, twist=twist, **more)


def of_network() -> Iterator[Attack]:
    """Statuses, lengths, slowness, redirects, changes midway, and answers askew."""
    yield from _statuses()
    yield from _lengths()
    yield from _slowness()
    yield from _redirects()
    yield from _odd_answers()


def _statuses() -> Iterator[Attack]:
    everything = partial(http.of_what_ends, "")
    yield _broken("N8", "a page to sign in, for every answer", partial(everything, http.SIGN_IN))
    portal = partial(http.of_model, http.SIGN_IN)
    yield _broken("N8-file", "a page to sign in, for one file", portal)
    gone = partial(http.of_model, said(404, b"<h1>Not Found</h1>"))
    yield _broken("N9", "404 of one file", gone, "not-found")
    denied = partial(http.of_model, said(403, b"<Error>AccessDenied</Error>"))
    yield _broken("N10", "403 of one file", denied, "source-refused")
    who = partial(http.of_model, problem(403, "token-refused"))
    yield _broken("N10-token", "403: the token is refused", who, "token-refused", exit_code=31)
    yield _heals("N11", "429, come back in a second", partial(http.at_times, http.BUSY))
    yield _heals("N12", "500, now and then", partial(http.at_times, said(500), ATTEMPTS))
    yield _broken("N12-always", "500, always", partial(http.of_model, said(500)), "source")
    busy = said(503, b"", {"Retry-After": "86400"})
    yield _broken("N13", "503, come back tomorrow", partial(everything, busy), "source")


def _lengths() -> Iterator[Attack]:
    size, whole = http.SIZE, said(200, MODEL)
    yield _heals("N14", "the Range is ignored", partial(http.of_model, whole))
    spans = {"shifted": f"1-{size}/{size + 1}", "total": f"0-{size - 1}/{size - 1}", "empty": ""}
    for name, span in spans.items():
        twist = partial(http.part, MODEL, {"Content-Range": f"bytes {span}"})
        yield _broken(f"N15-{name}", f"another Content-Range ({name})", twist)
    for name, length in {"short": size - 1, "long": size + 1}.items():
        yield _broken(f"N16-{name}", f"a 206 too {name}", partial(http.part_of, length))
    beyond = partial(http.of_model, said(416, b"", {"Content-Range": "bytes */3"}))
    yield _broken("N17", "416 of what is lacking", beyond, "range-refused")
    many = partial(http.part, MODEL, {"Content-Type": "multipart/byteranges; boundary=x"})
    yield _broken("N18", "many parts unasked", many)
    small = partial(http.part, MODEL, {"Content-Length": str(size - 100)})
    yield _broken("N19", "Content-Length too small", small)
    large = partial(http.part, MODEL, {"Content-Length": str(size + 100)}, Then.CLOSE)
    yield _broken("N20", "Content-Length too large", large)
    yield _heals("N21", "no Content-Length, and cut short", http.without_length)
    yield _heals("N22", "chunks cut short", http.chunks_cut_short)
    yield _heals("N23", "endless data", http.endless)
    yield _heals("N23-chunked", "endless chunks", http.endless_chunks)
    manifest = partial(http.endless_manifest, NEW.manifest.encode())
    yield _broken("N23-manifest", "an endless manifest", manifest)
    for name, count in {"first": 0, "middle": size // 2, "last": size - 1}.items():
        twist = partial(http.at_times, http.cut_at(count, Then.RESET))
        yield _heals(f"N24-{name}", f"a reset in the body ({name} byte)", twist)


def _slowness() -> Iterator[Attack]:
    for name, count in {"head": 5, "body": 5000}.items():
        slow, still = partial(http.dribbled, count), partial(http.stalled, count)
        code = "source-stalled" if name == "body" else "source-unreachable"
        yield _broken(
            f"N25-{name}", f"a byte now and then ({name})", slow, "source-stalled", is_slow=True
        )
        yield _broken(f"N26-{name}", f"a stall ({name})", still, code, is_slow=True)


def _redirects() -> Iterator[Attack]:
    yield _broken("N27", "a packed answer: 10 MB of zeros", http.packed)
    yield _heals("N28", "redirects within the server", http.redirected_within)
    places = {
        "N30": ("a file", "file:///etc/passwd"),
        "N31": ("another host", "http://elsewhere.invalid/"),
        "N32": ("the cloud's own address", "http://169.254.169.254/latest/meta-data/"),
        "N34": ("another host, with a user's name", "http://user@elsewhere.invalid/"),
    }
    for name, (place, location) in places.items():
        twist = partial(http.redirected, location)
        yield _broken(name, f"a redirect to {place}", twist, "redirect-refused")
    yield _broken("N33", "redirects in a circle", http.redirected_in_a_circle)


def _odd_answers() -> Iterator[Attack]:
    yield _heals("N35", "the ETag changes midway", http.another_tag_midway)
    yield _broken("N36", "always the whole, and cut", http.always_the_whole, "range-ignored")
    dying = partial(http.dying, 65_536)
    yield _heals("N37", "the connection dies after each 64 KiB", dying)
    yield _heals("N38", "HTTP/1.0", http.old_version)
    yield _heals("N40", "every answer twice", http.doubled)
    for number, name in enumerate(http.SPLITS):
        yield _broken(f"N40-{number + 1}", f"a split answer: {name}", partial(http.split, name))
