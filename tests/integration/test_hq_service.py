"""Health, metrics, documentation: what those who run HQ look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import jsonschema_rs
import pytest

from bitstation.core.digest import digest_of
from bitstation.hq.api.app import ENDPOINTS
from bitstation.hq.api.problems import status_of
from bitstation.testing.local_hq import local_hq
from tests.integration.hq_requests import SESSIONS, Caller, Reply, calling, manifest_of

FILES = {"a.txt": b"hello", "tool.json": b"not a tool.json"}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with local_hq(tmp_path_factory.mktemp("hq")) as hq, calling(hq) as caller:
        caller.publish(FILES, "add", "1.0.0")
        caller.authorized("PUT", "/api/v1/tools/add/requirement", b'{"version":"1.0.0"}')
        yield caller


@pytest.fixture(scope="module")
def document(caller: Caller) -> dict:
    return caller.get("/api/v1/openapi.json").json


def test_health(caller: Caller):
    assert caller.get("/healthz").json == {"status": "ok"}
    assert caller.get("/readyz").json == {"status": "ready"}


def test_hq_is_not_ready_without_its_folders(tmp_path: Path):
    with local_hq(tmp_path) as hq, calling(hq) as caller:
        (tmp_path / "incoming").rmdir()
        reply = caller.get("/readyz")
        assert (reply.status, reply.json) == (503, {"status": "unavailable"})
        assert caller.get("/healthz").status == 200


def test_a_release_whose_tool_json_means_nothing_is_in_the_catalog_all_the_same(caller: Caller):
    (tool,) = caller.get("/catalog.json").json["tools"]
    assert (tool["name"], tool["platforms"], tool["has_frontend"]) == ("add", [], False)


# --- metrics ----------------------------------------------------------------------------------


def count(caller: Caller, route: str, code: int) -> float:
    text = caller.get("/metrics").body.decode()
    line = f'hq_http_requests_total{{code="{code}",route="{route}"}} '
    return next((float(row[len(line) :]) for row in text.splitlines() if row.startswith(line)), 0)


def test_requests_are_counted_by_template_never_by_name(caller: Caller):
    route = "/api/v1/tools/{tool_id}/{version}/files/{path}"
    hits, misses = count(caller, route, 200), count(caller, route, 404)
    for number in range(5):
        caller.get("/api/v1/tools/add/1.0.0/files/a.txt")
        caller.get(f"/api/v1/tools/nope{number}/1.0.0/files/x")
    assert count(caller, route, 200) == hits + 5
    assert count(caller, route, 404) == misses + 5
    lost = count(caller, "none", 404)
    for number in range(5):
        caller.get(f"/random/{number}")
    assert count(caller, "none", 404) == lost + 5
    assert b"nope" not in caller.get("/metrics").body
    assert b"random" not in caller.get("/metrics").body


def test_sent_bytes_are_counted(caller: Caller):
    def sent() -> float:
        found = re.search(
            r'hq_blob_bytes_total\{path="http"\} (\S+)', caller.get("/metrics").body.decode()
        )
        return float(found[1]) if found else 0

    before = sent()
    caller.get(f"/api/v1/blobs/sha256/{digest_of(b'hello')}")
    caller.get("/api/v1/tools/add/1.0.0/files/a.txt", Range="bytes=1-2")
    caller.send("HEAD", "/api/v1/tools/add/1.0.0/files/a.txt")
    assert sent() == before + 7


# --- OpenAPI ----------------------------------------------------------------------------------


def test_every_route_is_in_the_document_and_nothing_else(document: dict):
    documented = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert documented == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    names = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(names) == len(set(names))


def test_every_schema_is_a_schema_and_every_reference_leads_somewhere(document: dict):
    schemas = document["components"]["schemas"]
    assert {"ToolSummary", "PublishSession", "Requirement", "Problem", "Catalog"} <= set(schemas)
    for name in schemas:
        assert jsonschema_rs.meta.is_valid({**schemas[name], "$id": f"x:{name}"})

    def references(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_path_parameters_are_those_of_the_path(document: dict):
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = {row["name"] for row in operation["parameters"] if row["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def matches(document: dict, method: str, path: str, reply: Reply) -> None:
    """Hold an answer against what the document says of it."""
    responses = document["paths"][path][method]["responses"]
    said = responses[str(reply.status)].get("content", {})
    media_type = reply.headers["content-type"]
    assert media_type.partition(";")[0] in {name.partition(";")[0] for name in said}
    schema = said.get(media_type, {}).get("schema")
    if schema and "json" in media_type:
        whole = {**schema, "components": document["components"]}
        jsonschema_rs.validator_for(whole).validate(reply.json)


def test_answers_are_what_the_document_says(caller: Caller, document: dict):
    manifest = manifest_of({"b.txt": b"bytes of b"}, "add", "2.0.0")
    session = f"{SESSIONS}/{{session_id}}"
    opened = caller.authorized("POST", SESSIONS, manifest.encode())
    matches(document, "post", SESSIONS, opened)
    place = f"{SESSIONS}/{opened.json['session_id']}"
    matches(document, "post", f"{session}/commit", caller.commit(opened.json))
    put = caller.put(opened.json, b"bytes of b")
    matches(document, "put", f"{session}/blobs/{{sha256}}", put)
    matches(document, "get", session, caller.authorized("GET", place))
    matches(document, "post", f"{session}/commit", caller.commit(opened.json))
    demand = "/api/v1/tools/{tool_id}/requirement"
    for version in (b"2.0.0", b"9.9.9", b"-"):
        body = b'{"version":"%s"}' % version
        reply = caller.authorized("PUT", demand.replace("{tool_id}", "add"), body)
        matches(document, "put", demand, reply)
    release = "/api/v1/tools/{tool_id}/{version}"
    known = release.format(tool_id="add", version="1.0.0")
    for path, asked, headers in [
        ("/healthz", "/healthz", {}),
        ("/readyz", "/readyz", {}),
        ("/metrics", "/metrics", {}),
        ("/docs", "/docs", {}),
        ("/docs/style.css", "/docs/style.css", {}),
        ("/api/v1/openapi.json", "/api/v1/openapi.json", {}),
        ("/catalog.json", "/catalog.json", {}),
        ("/api/v1/tools", "/api/v1/tools", {}),
        ("/api/v1/tools/{tool_id}", "/api/v1/tools/add", {}),
        ("/api/v1/tools/{tool_id}", "/api/v1/tools/nope", {}),
        ("/api/v1/requirements", "/api/v1/requirements?channel=stable", {}),
        (f"{release}/manifest.json", f"{known}/manifest.json", {}),
        (f"{release}/files/{{path}}", f"{known}/files/a.txt", {}),
        (f"{release}/files/{{path}}", f"{known}/files/a.txt", {"Range": "bytes=1-2"}),
        (f"{release}/files/{{path}}", f"{known}/files/a.txt", {"Range": "bytes=9-"}),
        (f"{release}/files/{{path}}", f"{known}/files/a.txt", {"If-Match": '"x"'}),
        (f"{release}/files/{{path}}", f"{known}/files/none", {}),
        ("/api/v1/blobs/sha256/{sha256}", f"/api/v1/blobs/sha256/{digest_of(b'hello')}", {}),
    ]:
        matches(document, "get", path, caller.send("GET", asked, headers=headers))


def test_writing_needs_the_token_in_the_document_too(document: dict):
    for endpoint in ENDPOINTS:
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        assert ("security" in operation) == endpoint.needs_token
        assert endpoint.needs_token or endpoint.method == "GET"
        for error in endpoint.errors:
            assert error.code in operation["responses"][str(status_of(error))]["description"]


# --- the page -----------------------------------------------------------------------------------


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            if name in ("href", "src", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.names.add(value or "")


def test_the_page_asks_nobody_else_and_runs_nothing(caller: Caller):
    reply = caller.get("/docs")
    assert reply.headers["content-security-policy"] == "default-src 'self'"
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    page = Page()
    page.feed(reply.body.decode())
    assert not {"script", "style", "iframe", "img"} & set(page.tags)
    assert page.addresses == ["/docs/style.css", "/api/v1/openapi.json"]
    for address in page.addresses:
        assert caller.get(address).status == 200
    assert b"@import" not in caller.get("/docs/style.css").body
    assert b"url(" not in caller.get("/docs/style.css").body


def test_a_problem_leads_to_its_place_on_the_page(caller: Caller):
    page = Page()
    page.feed(caller.get("/docs").body.decode())
    codes = {error.code for endpoint in ENDPOINTS for error in endpoint.errors}
    assert codes | {"not-found", "usage", "unexpected", "token-refused"} <= page.names
