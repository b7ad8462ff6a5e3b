"""Locked models: brought, gone on with, proved; what a host may say and not be believed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitstation.core.digest import digest_of
from bitstation.errors import (
    BitStationError,
    DigestMismatch,
    DiskFull,
    NotFound,
    RedirectRefused,
    SourceBroken,
    SourceError,
    SourceUnreachable,
    StoreLocked,
    ToolFolderInvalid,
    UpdateCancelled,
)
from bitstation.publisher import download, models
from bitstation.publisher.cache import cache_dir, locked, open_ledger
from bitstation.publisher.download import WrongLength
from bitstation.publisher.models import FetchedModel, ModelDiffers, fetch_models
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import Stop
from tests.engine.publisher_tools import write_tool
from tests.engine.web_host import WebHost, serving

DATA = os.urandom(3_000_000)
PATH = "models/m.gguf"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "_FIRST_PAUSE_S", 0.001)


@pytest.fixture
def host() -> Iterator[WebHost]:
    with serving(DATA) as found:
        yield found


@pytest.fixture
def tool(tmp_path: Path, host: WebHost) -> Path:
    folder = write_tool(tmp_path / "sample")
    lock(folder, url=host.url)
    return folder


def lock(folder: Path, **changes: Any) -> None:
    row = {"path": PATH, "sha256": digest_of(DATA), "size": len(DATA), "url": "", **changes}
    (folder / "models.lock.json").write_text(json.dumps([row]))


def fetch(folder: Path, **options: Any) -> FetchedModel:
    ledger = open_ledger()
    try:
        (fetched,) = fetch_models(folder, ledger, **options)
        return fetched
    finally:
        ledger.close()


def begun() -> list[str]:
    folder = cache_dir() / "models"
    return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


def test_a_model_is_brought_once(tool: Path, host: WebHost) -> None:
    assert fetch(tool) == FetchedModel(PATH, len(DATA), len(DATA), was_here=False)
    assert (tool / PATH).read_bytes() == DATA
    assert begun() == []
    assert fetch(tool) == FetchedModel(PATH, len(DATA), 0, was_here=True)
    assert len(host.requests) == 1


def test_what_was_brought_need_not_be_hashed_again(tool: Path) -> None:
    fetch(tool)
    hashed: list[int] = []

    def progress(_kind: str, _subject: str, total_bytes: int) -> Any:
        hashed.append(total_bytes)
        return lambda _count: None

    fetch(tool, progress=progress)
    assert hashed == []


def test_a_broken_transfer_goes_on_where_it_stopped(tool: Path, host: WebHost) -> None:
    host.cut_after = [1_000_000, 500_000, 0]
    assert fetch(tool).received_bytes == len(DATA)
    assert (tool / PATH).read_bytes() == DATA
    asked = [request.get("range") for request in host.requests]
    assert asked == [None, "bytes=1000000-", "bytes=1500000-", "bytes=1500000-"]
    assert {request.get("if-range") for request in host.requests[1:]} == {'"one"'}


def test_a_later_run_goes_on_where_an_earlier_one_was_stopped(tool: Path, host: WebHost) -> None:
    stop = Stop()
    counted = 0

    def count(done: int) -> None:
        nonlocal counted
        counted += done
        if counted > 1_500_000:
            stop.set()

    with pytest.raises(UpdateCancelled):
        fetch(tool, stop=stop, progress=lambda *_: count)
    assert begun() == [".from", ".part"]
    assert not (tool / PATH).exists()
    fetched = fetch(tool)
    assert 0 < fetched.received_bytes < 1_500_000
    assert (tool / PATH).read_bytes() == DATA


def test_a_host_that_gives_up_for_good(tool: Path, host: WebHost) -> None:
    host.cut_after = [1000] + [0] * 10
    with pytest.raises(SourceBroken):
        fetch(tool)
    assert not (tool / PATH).exists()
    host.cut_after = []
    assert fetch(tool).received_bytes == len(DATA) - 1000


def test_a_file_that_changed_at_its_host_is_begun_anew(tool: Path, host: WebHost) -> None:
    host.etag, host.data = '"zero"', bytes(len(DATA))
    host.cut_after = [1000] + [0] * 10
    with pytest.raises(SourceBroken):
        fetch(tool)
    host.etag, host.data, host.cut_after = '"one"', DATA, []
    assert fetch(tool).received_bytes == len(DATA)


def test_without_validators_a_mixture_is_noticed_and_begun_anew(tool: Path, host: WebHost) -> None:
    host.etag, host.data = "", bytes(len(DATA))
    host.cut_after = [1000] + [0] * 10
    with pytest.raises(SourceBroken):
        fetch(tool)
    host.data, host.cut_after = DATA, []
    assert fetch(tool).received_bytes == 2 * len(DATA) - 1000
    assert (tool / PATH).read_bytes() == DATA


def test_a_host_that_ignores_ranges(tool: Path, host: WebHost) -> None:
    host.ignore_ranges = True
    host.cut_after = [1000]
    assert fetch(tool).received_bytes == len(DATA) + 1000
    assert (tool / PATH).read_bytes() == DATA


def test_another_address_never_goes_on_with_the_bytes_of_the_first(
    tool: Path, host: WebHost
) -> None:
    host.cut_after = [1000] + [0] * 10
    with pytest.raises(SourceBroken):
        fetch(tool)
    host.cut_after = []
    lock(tool, url=host.url.replace("/model", "/other"))
    assert fetch(tool).received_bytes == len(DATA)


# --- lies ------------------------------------------------------------------------------------


def test_other_bytes_of_the_same_length(tool: Path, host: WebHost) -> None:
    host.data = bytes(len(DATA))
    with pytest.raises(DigestMismatch) as caught:
        fetch(tool)
    assert caught.value.exit_code == 30
    assert not (tool / PATH).exists()
    assert begun() == []


@pytest.mark.parametrize("length", [0, 10, len(DATA) - 1, len(DATA) + 1])
def test_a_file_of_another_length_is_not_even_received(
    tool: Path, host: WebHost, length: int
) -> None:
    host.data = (DATA * 2)[:length]
    with pytest.raises(WrongLength):
        fetch(tool)
    assert len(host.requests) == 1
    assert not (tool / PATH).exists()


def test_a_body_longer_than_it_says(tool: Path, host: WebHost) -> None:
    host.extra, host.headers = b"more", {"Content-Length": str(len(DATA))}
    assert fetch(tool).received_bytes == len(DATA)
    assert (tool / PATH).read_bytes() == DATA


def test_a_body_without_end(tool: Path, host: WebHost) -> None:
    host.extra, host.headers = bytes(1_000_000), {"Content-Length": None}
    with pytest.raises(WrongLength):
        fetch(tool)


@pytest.mark.parametrize("span", ["bytes 0-10/3000000", "bytes 999-2999999/3000000", "", "x"])
def test_a_range_that_was_not_asked_for(tool: Path, host: WebHost, span: str) -> None:
    host.cut_after = [1000]
    host.headers = {}
    original = host.span

    def lie(asked: str | None, condition: str | None) -> int:
        start = original(asked, condition)
        if start:
            host.headers = {"Content-Range": span}
        return start

    host.span = lie  # type: ignore[method-assign]
    with pytest.raises(SourceBroken):
        fetch(tool)
    assert not (tool / PATH).exists()


def test_an_encoding_that_was_not_asked_for(tool: Path, host: WebHost) -> None:
    host.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(SourceBroken):
        fetch(tool)


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (403, SourceError), (500, SourceError)]
)
def test_refusals(tool: Path, host: WebHost, status: int, error: type[BitStationError]) -> None:
    host.status = status
    with pytest.raises(error):
        fetch(tool)
    assert not (tool / PATH).exists()


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "http://127.0.0.2:9/model", "ftp://127.0.0.1/x", "data:,x", ""],
)
def test_redirects_to_another_scheme_or_over_plain_http(
    tool: Path, host: WebHost, location: str
) -> None:
    host.location = location or "gopher://x"
    with pytest.raises(RedirectRefused):
        fetch(tool)


def test_a_redirect_on_the_same_host_is_followed(tool: Path, host: WebHost) -> None:
    host.location = "/elsewhere"
    assert fetch(tool).received_bytes == len(DATA)


def test_a_host_that_is_not_there(tool: Path) -> None:
    lock(tool, url="http://127.0.0.1:9/model")
    with pytest.raises(SourceUnreachable):
        fetch(tool)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "x", "http://u:p@h/x", 5])
def test_addresses_that_a_lock_may_not_hold(tool: Path, url: object) -> None:
    lock(tool, url=url)
    with pytest.raises(ToolFolderInvalid, match="url is not"):
        fetch(tool)


# --- the disk --------------------------------------------------------------------------------


def test_another_file_in_its_place_is_replaced_only_when_asked(tool: Path) -> None:
    (tool / PATH).write_bytes(b"perhaps the newer one")
    with pytest.raises(ModelDiffers):
        fetch(tool)
    assert (tool / PATH).read_bytes() == b"perhaps the newer one"
    fetch(tool, replace=True)
    assert (tool / PATH).read_bytes() == DATA


def test_a_cache_on_another_volume(tool: Path) -> None:
    class TwoVolumes(Disk):
        def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
            if source.suffix == ".part":
                raise OSError(errno.EXDEV, "another volume")
            super().replace(source, target, below=below)

    fetch(tool, disk=TwoVolumes())
    assert (tool / PATH).read_bytes() == DATA
    assert [path.name for path in (tool / "models").iterdir() if "tmp" in path.name] == []
    assert begun() == []


def test_too_little_space(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "free_bytes", lambda _path: 1000)
    with pytest.raises(DiskFull):
        fetch(tool)


def test_two_runs_do_not_bring_one_model(tool: Path) -> None:
    with locked(f"model-{digest_of(DATA)}"), pytest.raises(StoreLocked):
        fetch(tool)


def test_a_tool_without_a_lock_has_nothing_to_bring(tmp_path: Path) -> None:
    ledger = open_ledger()
    try:
        assert fetch_models(write_tool(tmp_path / "other"), ledger) == []
    finally:
        ledger.close()
