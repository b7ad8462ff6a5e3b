"""What an operator demands, and the token that lets him."""

from __future__ import annotations

import json

import pytest

from bitstation.testing.local_hq import LocalHq
from tests.integration.hq_requests import (
    SESSIONS,
    Caller,
)


def require(caller: Caller, tool_id: str, **demand: str) -> int:
    body = json.dumps(demand).encode()
    return caller.authorized("PUT", f"/api/v1/tools/{tool_id}/requirement", body).status


def required(caller: Caller, tool_id: str, channel: str = "stable") -> list[str]:
    rows = caller.get(f"/api/v1/requirements?channel={channel}").json
    return [row["version"] for row in rows if row["tool_id"] == tool_id]


def test_a_channel_requires_one_release_of_a_tool(caller: Caller, tool_id: str, unique: bytes):
    for version in ("1.0.0", "1.1.0"):
        caller.publish({"a.bin": unique, "v": version.encode()}, tool_id, version)
    assert required(caller, tool_id) == []
    assert require(caller, tool_id, version="1.0.0") == 200
    assert required(caller, tool_id) == ["1.0.0"]
    assert require(caller, tool_id, version="1.1.0") == 200
    assert require(caller, tool_id, version="1.1.0") == 200
    assert require(caller, tool_id, version="1.0.0", channel="beta") == 200
    assert required(caller, tool_id) == ["1.1.0"]
    assert required(caller, tool_id, "beta") == ["1.0.0"]
    assert required(caller, tool_id, "nobody") == []
    rows = caller.get(f"/api/v1/tools/{tool_id}").json["required"]
    assert [(row["channel"], row["version"]) for row in rows] == [
        ("beta", "1.0.0"),
        ("stable", "1.1.0"),
    ]


def test_only_what_hq_holds_can_be_required(caller: Caller, tool_id: str, unique: bytes):
    caller.publish({"a.bin": unique}, tool_id, "1.0.0")
    assert require(caller, tool_id, version="9.9.9") == 404
    assert require(caller, "nope", version="1.0.0") == 404
    assert required(caller, tool_id) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"{}",
        b'{"version":1}',
        b'{"version":"v1"}',
        b'{"version":"1.0.0","channel":"Not A Channel"}',
        b'{"version":"1.0.0","version":"1.0.1"}',
        b'{"version":"' + b"1" * 70_000 + b'"}',
    ],
)
def test_a_demand_that_says_nothing_is_refused(caller: Caller, body: bytes):
    reply = caller.authorized("PUT", "/api/v1/tools/add/requirement", body)
    assert reply.status in (400, 413)
    assert reply.code == "usage"


# --- the token ----------------------------------------------------------------------------------

WRITES = [
    ("POST", SESSIONS),
    ("GET", f"{SESSIONS}/x"),
    ("PUT", f"{SESSIONS}/x/blobs/{'0' * 64}"),
    ("POST", f"{SESSIONS}/x/commit"),
    ("PUT", "/api/v1/tools/add/requirement"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_without_the_token_nothing_is_taken(
    running: LocalHq, caller: Caller, method: str, path: str
):
    token = running.token
    shown = ["", "Bearer", "Bearer ", f"Basic {token}", token, f"Bearer {token}x", "Bearer \xff"]
    for authorization in shown:
        reply = caller.send(method, path, b"{}", {"Authorization": authorization})
        assert (reply.status, reply.code) == (401, "token-refused")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert token.encode() not in reply.body
    reply = caller.send(method, path, b"{}")
    assert reply.status == 401
