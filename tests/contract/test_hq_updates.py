"""Updates from an HQ that breaks off and lies: what was active stays, and a second try goes on."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from bitstation import DeltaUpdater
from bitstation.core.digest import digest_of
from bitstation.core.manifest import Entry, build_manifest
from bitstation.core.mirror import blob_path, encode_offer
from bitstation.core.wire import BlobRef
from bitstation.errors import (
    BitStationError,
    DigestMismatch,
    ManifestError,
    NotFound,
    RedirectRefused,
    SourceBroken,
    SourceError,
    SourceUnreachable,
    TokenRefused,
    UnexpectedRelease,
)
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import check_settled, look_at
from bitstation.testing.releases import CREATED_AT, TOOL_ID, UNSIGNED, Release, make_release
from bitstation.testing.scripted_hq import (
    BLOBS,
    ScriptedHq,
    Twist,
    layout_of,
    offer_of,
    problem,
    source_of,
)
from bitstation.testing.web_server import Asked, Said, Then, WebServer, said, serving
from bitstation.transport import http
from bitstation.transport.failures import RangeIgnored
from bitstation.transport.hq import HqSource
from bitstation.worker import intake

MODEL = bytes(range(256)) * 20_000  # 5.12 MB: three blocks of the engine's
MODEL_DIGEST = digest_of(MODEL)
OLD = make_release({"a.txt": b"old", "same.txt": b"same"}, "1.0.0")
NEW = make_release({"a.txt": b"new", "same.txt": b"same", "models/m.bin": MODEL}, "1.1.0")
MANIFEST_BYTES = len(NEW.manifest.encode())
FORGED = make_release({"a.txt": b"forged"}, "1.1.0")
OTHER = make_release({"a.txt": b"other"}, "1.1.0", tool_id="other-tool")


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def hq() -> ScriptedHq:
    return ScriptedHq(OLD, NEW)


@pytest.fixture
def server(hq: ScriptedHq) -> Iterator[WebServer]:
    with serving(hq) as server:
        yield server


@pytest.fixture
def source(server: WebServer) -> Iterator[HqSource]:
    with source_of(server) as source:
        yield source


@pytest.fixture
def updater(tmp_path: Path, source: HqSource) -> DeltaUpdater:
    """With the earlier release installed."""
    updater = DeltaUpdater(tmp_path / "root" / TOOL_ID, disk=QuickDisk(), options=UNSIGNED)
    updater.update(source, OLD.version)
    return updater


def settled_part(updater: DeltaUpdater) -> dict[str, object]:
    """Everything in the tools root that no failed update may change."""
    seen = look_at(updater.root.path)
    ours = (".bitstation", f"{TOOL_ID}/.bitstation", f"{TOOL_ID}/releases/.staging")
    return {
        path: facts for path, facts in seen.items() if not Path(path).as_posix().startswith(ours)
    }


def of_model(lie: Said) -> Twist:
    """Only the model is answered so."""
    return lambda asked, honest: lie if asked.target.endswith(MODEL_DIGEST) else honest


def everything(lie: Said) -> Twist:
    return lambda _asked, _honest: lie


def of_manifest(lie: Said) -> Twist:
    place = blob_path(digest_of(NEW.manifest.encode()))
    return lambda asked, honest: lie if asked.target.endswith(place) else honest


def of_offer(lie: Said) -> Twist:
    return lambda asked, honest: lie if asked.target.endswith("offer.json") else honest


def everything_of(other: Release) -> Twist:
    """The offer of another release, and what belongs to it."""
    files = layout_of(other)
    offer = encode_offer(offer_of(other))

    def twist(asked: Asked, honest: Said) -> Said:
        if asked.target.endswith("offer.json"):
            return said(200, offer)
        data = files.get(asked.target.removeprefix("/"))
        return said(200, data) if data is not None else honest

    return twist


def edited_offer(**changes: object) -> Twist:
    return of_offer(said(200, encode_offer(structs.replace(offer_of(NEW), **changes))))


ELSEWHERE = {"Location": "http://169.254.169.254/latest/meta-data/"}
CUT_SHORT = said(200, MODEL).cut(1000)
LIES = {
    "no tool": (everything(problem(404, "not-found")), NotFound, 40),
    "forbidden": (everything(said(403)), TokenRefused, 31),
    "broken": (everything(said(500)), SourceError, 40),
    "busy": (everything(said(503, b"", {"Retry-After": "600"})), SourceError, 40),
    "another protocol": (everything(Said(b"220 ftp ready\r\n", Then.CLOSE)), SourceBroken, 40),
    "led away": (everything(said(302, b"", ELSEWHERE)), RedirectRefused, 40),
    "silent": (everything(Said(b"", Then.HANG)), SourceUnreachable, 40),
    "manifest absent": (of_manifest(said(404)), NotFound, 40),
    "manifest cut": (of_manifest(said(200, NEW.manifest.encode()).cut(300)), SourceBroken, 40),
    "manifest a part": (of_manifest(said(206, NEW.manifest.encode()[:300])), SourceError, 40),
    "manifest no JSON": (of_manifest(said(200, b"<html>")), DigestMismatch, 30),
    "manifest edited": (
        of_manifest(said(200, NEW.manifest.encode().replace(b"same.txt", b"sane.txt"))),
        DigestMismatch,
        30,
    ),
    "manifest of another version": (of_manifest(said(200, OLD.manifest.encode())),
                                    DigestMismatch, 30),
    "manifest too long": (of_manifest(said(200, b" " * (33 << 20))), SourceBroken, 40),
    "offer absent": (of_offer(said(404)), NotFound, 40),
    "offer cut": (of_offer(said(200, encode_offer(offer_of(NEW))).cut(90)), SourceBroken, 40),
    "offer a part": (of_offer(said(206, encode_offer(offer_of(NEW)))), SourceError, 40),
    "offer of a page": (of_offer(said(200, b"<html>Please log in</html>")), SourceBroken, 40),
    "offer too long": (of_offer(said(200, b" " * 20_000)), SourceBroken, 40),
    "offer of another tool": (everything_of(OTHER), UnexpectedRelease, 31),
    "offer of another version": (everything_of(OLD), UnexpectedRelease, 31),
    "offer of a forger": (edited_offer(manifest_hash="0" * 64), UnexpectedRelease, 31),
    "offer of no digest": (edited_offer(manifest_hash="x"), SourceBroken, 40),
    "offer of a manifest that is none": (
        edited_offer(manifest=BlobRef(MODEL_DIGEST, len(MODEL))), ManifestError, 30
    ),
    "model absent": (of_model(problem(404, "not-found")), NotFound, 40),
    "model unreadable": (of_model(said(500)), SourceError, 40),
    "model cut": (of_model(CUT_SHORT), RangeIgnored, 40),
    "model shorter": (of_model(said(200, MODEL[:-1])), SourceBroken, 40),
    "model compressed": (
        of_model(said(200, gzip.compress(MODEL), {"Content-Encoding": "gzip"})), SourceBroken, 40
    ),
    "model led away": (of_model(said(302, b"", ELSEWHERE)), RedirectRefused, 40),
    "model silent": (of_model(Said(said(200, MODEL).data[:1000], Then.HANG)),
                     SourceUnreachable, 40),
    "model other bytes": (of_model(said(200, MODEL[:-1] + b"!")), DigestMismatch, 30),
    "model of a forger": (of_model(said(200, MODEL[::-1])), DigestMismatch, 30),
}  # fmt: skip


@pytest.mark.parametrize("case", LIES.values(), ids=LIES)
def test_a_lie_activates_nothing_and_changes_nothing_and_the_truth_mends_it(
    updater: DeltaUpdater,
    hq: ScriptedHq,
    source: HqSource,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[Twist, type[BitStationError], int],
):
    hq.twist, kind, code = case
    before = settled_part(updater)
    with monkeypatch.context() as patch:
        patch.setattr(http, "READ_TIMEOUT_S", 0.05 if kind is SourceUnreachable else 30)
        with pytest.raises(kind) as caught:
            updater.update(source, NEW.version)
    assert caught.value.exit_code == code
    assert settled_part(updater) == before
    hq.twist = lambda _asked, honest: honest
    stats = updater.update(source)
    assert (stats.to_version, stats.files_downloaded) == (NEW.version, 2)
    check_settled(updater.tree)
    assert updater.verify(deep=True).damaged == ()


def test_a_manifest_other_than_the_required_one_is_refused(
    updater: DeltaUpdater, hq: ScriptedHq, source: HqSource
):
    hq.required = NEW
    hq.twist = of_manifest(said(200, FORGED.manifest.encode()))
    before = settled_part(updater)
    with pytest.raises(DigestMismatch):
        updater.update(source)
    forged = structs.replace(
        offer_of(FORGED), manifest_hash=NEW.manifest.manifest_hash, required=True
    )
    hq.twist = lambda asked, honest: (
        said(200, encode_offer(forged))
        if asked.target.endswith("offer.json")
        else everything_of(FORGED)(asked, honest)
    )
    before = settled_part(updater)
    with pytest.raises(UnexpectedRelease) as caught:
        updater.update(source)
    assert caught.value.exit_code == 31
    assert settled_part(updater) == before


def test_the_addresses_in_a_manifest_are_never_followed(tmp_path: Path):
    files = {"a.txt": b"here", "b.txt": b"there"}
    with serving(lambda _asked: said(200, b"there")) as elsewhere:
        entries = [
            Entry("a.txt", digest_of(b"here"), 4, f"{elsewhere.url}/a.txt"),
            Entry("b.txt", digest_of(b"there"), 5, "file:///etc/passwd"),
        ]
        manifest = build_manifest(TOOL_ID, "1.0.0", entries, created_at=CREATED_AT, fields={})
        hq = ScriptedHq(Release(manifest, files))
        updater = DeltaUpdater(tmp_path / TOOL_ID, disk=QuickDisk(), options=UNSIGNED)
        with serving(hq) as server, source_of(server) as source:
            hq.lie_about_blobs(lambda _asked, _honest: problem(404, "not-found"))
            with pytest.raises(NotFound):
                updater.update(source)
            hq.twist = lambda _asked, honest: honest
            assert updater.update(source).activated
        assert elsewhere.connections == 0


# --- going on -----------------------------------------------------------------------------------


class Breaks:
    """Lets the model's first transfers end after so many bytes of their body."""

    def __init__(self, *lengths: int, then: Then = Then.CLOSE) -> None:
        self.ranges: list[str] = []
        self._lengths = list(lengths)
        self._then = then

    def __call__(self, asked: Asked, honest: Said) -> Said:
        if not asked.target.endswith(MODEL_DIGEST):
            return honest
        self.ranges.append(asked.headers["range"])
        if not self._lengths:
            return honest
        head = honest.data.index(b"\r\n\r\n") + 4
        return honest.cut(head + self._lengths.pop(0), self._then)


def test_a_transfer_that_breaks_goes_on_where_it_was(
    updater: DeltaUpdater, hq: ScriptedHq, source: HqSource
):
    breaks = hq.twist = Breaks(3_000_000, 1_000_000, 0)
    stats = updater.update(source, NEW.version)
    assert breaks.ranges == [
        "bytes=0-5119999",
        "bytes=3000000-5119999",
        "bytes=4000000-5119999",
        "bytes=4000000-5119999",
    ]
    assert stats.bytes_downloaded == len(MODEL) + len(b"new") + MANIFEST_BYTES
    assert updater.verify(deep=True).damaged == ()


def test_a_transfer_that_gets_nowhere_is_given_up(
    updater: DeltaUpdater, hq: ScriptedHq, source: HqSource
):
    breaks = hq.twist = Breaks(*[0] * 100)
    with pytest.raises(SourceError):
        updater.update(source, NEW.version)
    assert breaks.ranges == ["bytes=0-5119999"] * intake.ATTEMPTS


def test_a_transfer_that_moves_on_each_time_is_not_given_up(
    updater: DeltaUpdater, hq: ScriptedHq, source: HqSource
):
    breaks = hq.twist = Breaks(*[500_000] * 10)
    assert updater.update(source, NEW.version).activated
    assert len(breaks.ranges) == 11


@pytest.mark.parametrize(
    "etag", ['"' + "0" * 64 + '"', f'W/"{MODEL_DIGEST}"'], ids=["another", "weak"]
)
@pytest.mark.parametrize("rest", [MODEL, MODEL[::-1]], ids=["same bytes", "other bytes"])
def test_a_transfer_that_goes_on_with_another_file_ends_with_the_right_one(
    updater: DeltaUpdater, hq: ScriptedHq, source: HqSource, etag: str, rest: bytes
):
    breaks = Breaks(3_000_000)

    def other_file(asked: Asked, honest: Said) -> Said:
        is_rest = asked.headers.get("range", "").startswith("bytes=3000000-")
        answer = breaks(asked, honest)
        ours = f'ETag: "{MODEL_DIGEST}"'.encode()
        head = answer.data.partition(b"\r\n\r\n")[0].replace(ours, f"ETag: {etag}".encode())
        return Said(head + b"\r\n\r\n" + rest[3_000_000:]) if is_rest else answer

    hq.twist = other_file
    assert updater.update(source, NEW.version).activated
    assert updater.verify(deep=True).damaged == ()


def test_a_transfer_does_not_go_on_at_the_wrong_place_when_ranges_are_ignored(
    updater: DeltaUpdater, hq: ScriptedHq, source: HqSource
):
    breaks = Breaks(3_000_000)

    def no_ranges(asked: Asked, honest: Said) -> Said:
        is_rest = asked.headers.get("range", "").startswith("bytes=3000000-")
        return said(200, MODEL) if is_rest else breaks(asked, honest)

    hq.twist = no_ranges
    assert updater.update(source, NEW.version).activated, "from the first byte again"
    assert updater.verify(deep=True).damaged == ()


def test_a_server_without_ranges_serves_what_does_not_break(
    updater: DeltaUpdater, hq: ScriptedHq, source: HqSource
):
    manifest = NEW.manifest.encode()
    blobs = {**NEW.blobs, digest_of(manifest): manifest}
    hq.lie_about_blobs(
        lambda asked, _honest: said(200, blobs[asked.target.removeprefix(BLOBS)])  # type: ignore[index]
    )
    assert updater.update(source, NEW.version).activated


def test_wrong_bytes_once_are_fetched_again(
    updater: DeltaUpdater, hq: ScriptedHq, source: HqSource
):
    lies = [said(200, MODEL[::-1])]

    def lie_once(asked: Asked, honest: Said) -> Said:
        return lies.pop() if lies and asked.target.endswith(MODEL_DIGEST) else honest

    hq.twist = lie_once
    stats = updater.update(source, NEW.version)
    assert stats.activated
    assert stats.bytes_downloaded == 2 * len(MODEL) + len(b"new") + MANIFEST_BYTES
