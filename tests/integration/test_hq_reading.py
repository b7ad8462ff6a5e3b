"""Files, blobs, manifests and lists as workers read them."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstation.core.catalog import parse_catalog
from bitstation.core.digest import digest_of
from bitstation.core.manifest import DEFAULT_BASE_URL, Manifest, file_url
from bitstation.testing.local_hq import local_hq
from tests.integration.hq_requests import TOOL_JSON, Caller, calling

MODEL = bytes(range(256)) * 12_288 + b"the end"  # 3 MiB and a bit: several blocks
FILES = {
    "main.py": b"print('hola')\n",
    "tool.json": TOOL_JSON,
    "models/m.gguf": MODEL,
    "empty.txt": b"",
    "one.bin": b"1",
    "two.bin": b"22",
    "ten.bin": b"0123456789",
    "docs/le\u00e9me y m\u00e1s.txt": "canci\u00f3n".encode(),
    "100% #1;=&.txt": b"odd name",
}
RELEASE = "/api/v1/tools/add/1.0.0"


class Site(NamedTuple):
    caller: Caller
    manifest: Manifest


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with local_hq(tmp_path_factory.mktemp("hq")) as hq, calling(hq) as caller:
        yield Site(caller, caller.publish(FILES, "add", "1.0.0"))


def address(path: str) -> str:
    return f"{RELEASE}/files/{quote(path)}"


@pytest.mark.parametrize("path", FILES)
def test_a_file_arrives_whole_with_all_its_headers(site: Site, path: str):
    data = FILES[path]
    digest = digest_of(data)
    reply = site.caller.get(address(path))
    assert reply.status == 200
    assert reply.body == data
    wanted = {
        "etag": f'"{digest}"',
        "x-file-sha256": digest,
        "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:",
        "cache-control": "public, max-age=31536000, immutable",
        "accept-ranges": "bytes",
        "content-length": str(len(data)),
        "content-type": "application/octet-stream",
        "x-content-type-options": "nosniff",
    }
    assert wanted.items() <= reply.headers.items()
    assert "content-range" not in reply.headers


@pytest.mark.parametrize("path", FILES)
def test_a_blob_is_the_same_body_by_content(site: Site, path: str):
    digest = digest_of(FILES[path])
    by_path, by_digest = site.caller.get(address(path)), site.caller.get(blob_address(digest))
    assert by_digest.body == by_path.body
    assert without_date(by_digest.headers) == without_date(by_path.headers)


def blob_address(digest: str) -> str:
    return f"/api/v1/blobs/sha256/{digest}"


def without_date(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "date"}


@pytest.mark.parametrize(
    "path",
    [
        *(address(path) for path in FILES),
        blob_address(digest_of(MODEL)),
        f"{RELEASE}/manifest.json",
        "/catalog.json",
        "/api/v1/tools",
        "/api/v1/tools/add",
        "/api/v1/requirements",
        "/docs",
        "/api/v1/openapi.json",
        "/healthz",
        "/nothing/here",
    ],
)
def test_head_says_what_get_says_without_the_body(site: Site, path: str):
    get, head = site.caller.get(path), site.caller.send("HEAD", path)
    assert head.status == get.status
    assert without_date(head.headers) == without_date(get.headers)
    assert head.body == b""


def test_head_ignores_a_range(site: Site):
    head = site.caller.send("HEAD", address("ten.bin"), headers={"Range": "bytes=1-2"})
    assert head.status == 200
    assert head.headers["content-length"] == "10"


numbers = st.integers(0, len(MODEL) + 2) | st.integers(0, 12)
ranges = st.one_of(
    st.tuples(numbers, numbers).map(lambda pair: f"bytes={pair[0]}-{pair[1]}"),
    numbers.map(lambda first: f"bytes={first}-"),
    numbers.map(lambda count: f"bytes=-{count}"),
)


@given(path=st.sampled_from(list(FILES)), field=ranges)
@settings(max_examples=150)
def test_a_range_brings_exactly_its_bytes(site: Site, path: str, field: str):
    data = FILES[path]
    first, last = field.removeprefix("bytes=").split("-")
    whole = range(len(data))
    if first and last and int(last) < int(first):
        meant = whole
    elif first:
        meant = whole[int(first) : int(last) + 1 if last else None]
    elif not data and int(last):
        meant = whole
    else:
        meant = whole[max(0, len(data) - int(last)) :]
    reply = site.caller.get(address(path), Range=field)
    is_whole = reply.status == 200
    if not meant and not is_whole:
        assert reply.status == 416
        assert reply.code == "usage"
        assert reply.headers["content-range"] == f"bytes */{len(data)}"
        return
    assert reply.body == data[meant.start : meant.stop]
    assert reply.headers["content-length"] == str(len(meant))
    assert reply.headers["etag"] == f'"{digest_of(data)}"'
    if not is_whole:
        assert reply.status == 206
        span = f"bytes {meant.start}-{meant.stop - 1}/{len(data)}"
        assert reply.headers["content-range"] == span


def test_several_ranges_bring_the_whole(site: Site):
    reply = site.caller.get(address("ten.bin"), Range="bytes=0-1,5-6")
    assert (reply.status, reply.body) == (200, b"0123456789")


def test_a_range_holds_only_for_the_content_it_was_asked_for(site: Site):
    tag = f'"{digest_of(FILES["ten.bin"])}"'
    for if_range, status in [(tag, 206), ('"other"', 200), (f"W/{tag}", 200)]:
        reply = site.caller.get(address("ten.bin"), Range="bytes=2-3", If_Range=if_range)
        assert reply.status == status
    date = "Mon, 23 Nov 2026 14:00:00 GMT"
    assert site.caller.get(address("ten.bin"), Range="bytes=2-3", If_Range=date).status == 200


@pytest.mark.parametrize(
    "path", [address("ten.bin"), f"{RELEASE}/manifest.json", "/catalog.json", "/api/v1/tools"]
)
def test_what_is_known_is_not_sent_again(site: Site, path: str):
    tag = site.caller.get(path).headers["etag"]
    for field in (tag, f'"x", W/{tag}', "*"):
        reply = site.caller.get(path, If_None_Match=field)
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["etag"] == tag
        assert "cache-control" in reply.headers
    assert site.caller.get(path, If_None_Match='"x"').status == 200


def test_if_match_guards(site: Site):
    assert site.caller.get(address("ten.bin"), If_Match="*").status == 200
    reply = site.caller.get(address("ten.bin"), If_Match='"other"')
    assert (reply.status, reply.code) == (412, "usage")


def test_a_manifest_is_served_byte_for_byte(site: Site):
    reply = site.caller.get(f"{RELEASE}/manifest.json")
    assert reply.body == site.manifest.encode()
    assert reply.headers["etag"] == f'"{site.manifest.manifest_hash}"'
    assert reply.headers["content-type"] == "application/json"


def test_lists(site: Site):
    tools = site.caller.get("/api/v1/tools").json
    assert [tool["tool_id"] for tool in tools] == ["add"]
    assert tools[0] == site.caller.get("/api/v1/tools/add").json
    (release,) = tools[0]["releases"]
    assert release["manifest_hash"] == site.manifest.manifest_hash
    assert release["size"] == sum(map(len, FILES.values()))
    assert release["files"] == len(FILES)


def test_the_catalog_tells_what_tool_json_says(site: Site):
    reply = site.caller.get("/catalog.json")
    (tool,) = parse_catalog(reply.body).tools
    assert (tool.tool_id, tool.latest, tool.name) == ("add", "1.0.0", "Add numbers")
    assert tool.platforms == ("windows", "linux")
    assert tool.category == "math"
    assert tool.manifest_hash == site.manifest.manifest_hash
    assert tool.asset_name is None
    assert json.loads(reply.body)["tools"][0]["has_frontend"] is False
    assert reply.headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize(
    "path",
    [
        f"{RELEASE}/files/absent.py",
        f"{RELEASE}/files/",
        f"{RELEASE}/files/MAIN.PY",
        f"{RELEASE}/files/manifest.json",
        "/api/v1/tools/add/9.9.9/files/main.py",
        "/api/v1/tools/nope/1.0.0/files/main.py",
        "/api/v1/tools/nope",
        "/api/v1/tools/add/9.9.9/manifest.json",
        blob_address("0" * 64),
        blob_address("A" * 64),
        blob_address("x"),
        "/api/v1/tools/",
        "/",
    ],
)
def test_what_is_not_here_is_404(site: Site, path: str):
    reply = site.caller.get(path)
    assert (reply.status, reply.code) == (404, "not-found")


def test_another_method_is_405_and_says_which(site: Site):
    reply = site.caller.send("DELETE", address("main.py"))
    assert (reply.status, reply.code) == (405, "usage")
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_small_answer_does_not_wait_for_delayed_acknowledgements(site: Site):
    seconds = []
    for _ in range(10):
        begun = time.perf_counter()
        site.caller.get(address("one.bin"))
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.03


def test_many_readers_at_once_get_the_right_bytes(site: Site):
    wrong: list[str] = []

    def read(number: int) -> None:
        connection = socket.create_connection(site.caller.address, timeout=30)
        first = number * 1000
        with connection, connection.makefile("rb") as answer:
            request = f"GET {address('models/m.gguf')} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            connection.sendall(f"{request}Range: bytes={first}-\r\n\r\n".encode())
            body = answer.read().partition(b"\r\n\r\n")[2]
        if body != MODEL[first:]:
            wrong.append(f"reader {number}")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_reader_who_leaves_early_stops_the_sending(site: Site):
    before = sent_bytes(site)
    with socket.create_connection(site.caller.address, timeout=30) as connection:
        connection.sendall(f"GET {address('models/m.gguf')} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        connection.recv(100)
    assert sent_bytes(site) - before <= len(MODEL)
    assert site.caller.get(address("main.py")).status == 200


def sent_bytes(site: Site) -> float:
    text = site.caller.get("/metrics").body.decode()
    line = next(line for line in text.splitlines() if line.startswith("hq_blob_bytes_total"))
    return float(line.split()[-1])


def test_the_files_url_of_a_manifest_is_the_address_that_answers(site: Site):
    for path, data in FILES.items():
        url = file_url(DEFAULT_BASE_URL, "add", "1.0.0", path)
        there = "/" + url.split("/", 3)[3]
        assert site.caller.get(there).body == data
