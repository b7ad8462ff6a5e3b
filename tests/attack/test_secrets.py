"""I10: no secret in anything that is written, whatever fails, and however much is said of it."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation.cli.main import COMMANDS
from bitstation.cli.parser import build_parser
from bitstation.core.digest import digest_of
from bitstation.testing.local_hq import local_hq
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.scripted_hq import ScriptedHq, problem
from bitstation.testing.web_server import Asked, Said, WebServer, said, serving
from tests.attack.secret_scene import CANARY, USER, SecretScene

OLD = make_release({"a.txt": b"old", "same.txt": b"same"}, "1.0.0")
NEW = make_release({"a.txt": b"new", "same.txt": b"same"}, "1.1.0")
NAME = "hq.invalid"
NAMED = f"{USER}:{CANARY}@"
# Of these none can be used; each fails at another place.
UNUSABLE = [
    f"http://{NAMED}{NAME}",
    f"HTTP://{NAMED}{NAME}/",
    f"{NAMED}{NAME}:8765",
    f"ftp://{NAMED}{NAME}",
    f"http://{NAMED}{NAME}:port",
    f"http://{NAMED}[{NAME}",
    f"http://{USER}:{CANARY}/more@{NAME}",
    f"http://{USER}:{CANARY}#more@{NAME}",
    f"http://{USER}:{CANARY}@more@{NAME}",
    f"http://{CANARY}@{NAME}",
]


@pytest.fixture
def scene(tmp_path: Path) -> SecretScene:
    return SecretScene(tmp_path)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving(ScriptedHq(OLD, NEW)) as server:
        yield server


def test_i10_tokens_of_a_publisher_and_of_his_hq(scene: SecretScene, tmp_path: Path) -> None:
    wrong = scene.keeper("wrong-token")
    folder = NEW.write(tmp_path / "release")
    with local_hq(tmp_path / "hq", tmp_path / "hq.log") as hq:
        scene.spare(hq.token_file)
        asking = ("--hq", hq.url, "--token-file")
        assert scene.run("publish", folder, *asking, wrong, "--json").code == 31
        assert scene.run("publish", folder, *asking, hq.token_file, "--json").code == 0
        assert scene.run("hq", "require", TOOL_ID, "1.1.0", *asking, wrong).code == 31
        assert scene.run("hq", "require", TOOL_ID, "1.1.0", *asking, hq.token_file).code == 0
        given = {"BITSTATION_TOKEN_FILE": str(hq.token_file), "BITSTATION_HQ": hq.url}
        assert scene.run("update", TOOL_ID, "--jsonl", **given).code == 0
        for words in (["history", "--json"], ["status", "--json"], ["list"], ["verify", TOOL_ID]):
            assert scene.run(*words, **given).code == 0
        if sys.platform == "linux":
            line = Path(f"/proc/{hq.process.pid}/cmdline").read_bytes()
            assert b"serve" in line
            assert hq.token.encode() not in line
        token = hq.token
        hq.stop()
    assert scene.found(CANARY, token) == []


@pytest.mark.parametrize("content", [CANARY + "\n" + CANARY, CANARY + " \x07", CANARY * 200])
def test_i10_a_file_that_holds_no_token(scene: SecretScene, content: str) -> None:
    file = scene.keeper("token", content)
    ended = scene.run(
        "hq", "require", TOOL_ID, "1.0.0", "--hq", "127.0.0.1:9", "--token-file", file
    )
    assert ended.code == 2
    assert "token" in ended.said
    assert scene.found() == []


def test_i10_an_hq_that_repeats_the_token(scene: SecretScene, server: WebServer) -> None:
    def repeated(asked: Asked) -> str:
        return asked.headers.get("authorization", "")

    answers = [
        lambda asked: problem(403, "token-refused", repeated(asked)),
        lambda asked: problem(409, "refused", repeated(asked)),
        lambda asked: problem(500, "unexpected", repeated(asked)),
        lambda asked: said(200, repeated(asked).encode()),
        lambda asked: said(302, headers={"Location": f"http://{NAME}/{repeated(asked)[7:]}"}),
    ]
    token = scene.keeper("token")
    for answer in answers:
        server.script = answer
        asking = ("--hq", server.url, "--token-file", token)
        assert scene.run("hq", "require", TOOL_ID, "1.0.0", *asking).code in (31, 40)
        dry = scene.run("hq", "require", TOOL_ID, "1.0.0", "--dry-run", *asking)
        assert dry.code in (31, 40)
    assert all(CANARY in repeated(asked) for asked in server.asked), "it was sent"
    assert scene.found() == []


@pytest.mark.parametrize("address", UNUSABLE)
def test_i10_credentials_in_the_address_of_a_source(scene: SecretScene, address: str) -> None:
    assert scene.run("update", TOOL_ID, "--hq", address, "--json").code in (2, 40)
    assert scene.run("update", TOOL_ID, "--from", address).code in (2, 40)
    mirror = ("--hq", "http://127.0.0.1:9", "--mirror", address)
    assert scene.run("update", TOOL_ID, *mirror, "--jsonl").code in (2, 40)
    assert scene.run("list", BITSTATION_HQ=address).code in (2, 40)
    assert scene.run("history").code == 0
    assert scene.found() == []


@pytest.mark.parametrize("address", UNUSABLE)
def test_i10_credentials_in_an_address_that_would_be_published(
    scene: SecretScene, tmp_path: Path, address: str
) -> None:
    tool = tmp_path / "tool"
    tool.mkdir()
    words = ("manifest", tool, "--json")
    assert scene.run(*words, "--base-url", address).code == 2
    assert scene.run(*words, BITSTATION_FILES_BASE_URL=address).code == 2
    assert scene.run("pack", tool, "--download-base", address).code == 2
    assert scene.found() == []


def test_i10_credentials_of_a_proxy(scene: SecretScene, server: WebServer) -> None:
    hq = ScriptedHq(OLD, NEW)
    origin = f"http://{NAME}"
    server.script = lambda asked: hq(asked._replace(target=asked.target.removeprefix(origin)))
    through = {"HTTP_PROXY": f"http://{NAMED}127.0.0.1:{server.port}"}
    assert scene.run("update", TOOL_ID, "--version", "1.0.0", "--hq", origin, **through).code == 0
    assert scene.run("update", TOOL_ID, "--hq", origin, "--jsonl", **through).code == 0
    assert all("proxy-authorization" in asked.headers for asked in server.asked), "it was sent"
    answers: list[Said] = [said(407), said(502), Said(b"nonsense\r\n\r\n")]
    for answer in answers:
        server.say(answer)
        assert scene.run("update", TOOL_ID, "--hq", origin, **through).code in (40, 41)
    assert scene.found() == []


@pytest.mark.parametrize(
    "proxy",
    [
        *UNUSABLE[:7],
        f"https://{NAMED}{NAME}",
        f"socks5://{NAMED}{NAME}:1080",
        f"http://{NAMED}127.0.0.1:9",
        f"http://{USER}:%ff{CANARY}@127.0.0.1:9",
    ],
)
def test_i10_credentials_of_a_proxy_that_cannot_be_used(scene: SecretScene, proxy: str) -> None:
    for scheme in ("http", "https"):
        words = ("update", TOOL_ID, "--hq", f"{scheme}://{NAME}", "--json")
        ended = scene.run(*words, HTTP_PROXY=proxy, HTTPS_PROXY=proxy)
        assert ended.code in (40, 41), ended.said
    assert scene.found() == []


def test_i10_keys_in_the_signed_address_of_a_model(
    scene: SecretScene, server: WebServer, tmp_path: Path
) -> None:
    model, tool = b"model" * 1000, tmp_path / "tool"
    tool.mkdir()
    row = {
        "path": "models/m.bin",
        "sha256": digest_of(model),
        "size": len(model),
        "url": f"{server.url}/m.bin?signature={CANARY}",
    }
    (tool / "models.lock.json").write_text(json.dumps([row]), "utf-8")
    scene.spare(tool / "models.lock.json")
    elsewhere = {"Location": f"http://{NAMED}{NAME}/?signature={CANARY}"}
    # The last leaves a beginning in the cache, with what it is the beginning of.
    cut = said(200, model, {"ETag": '"one"'}).cut(3000)
    for answer in (said(404), said(403), said(302, headers=elsewhere), said(200, b"short"), cut):
        server.say(answer)
        assert scene.run("models", "fetch", tool, "--json").code in (30, 40)
    assert any("models" in path.parts for path in (tmp_path / "cache").rglob("*.from"))
    server.say(said(200, model[::-1]))
    assert scene.run("models", "fetch", tool).code == 30
    server.say(said(200, model))
    assert scene.run("models", "fetch", tool).code == 0
    assert all(CANARY in asked.target for asked in server.asked), "it was sent"
    assert scene.found() == []


def test_i10_no_option_takes_a_secret() -> None:
    # One-use tokens of joining may; what stays a secret comes by file or environment.
    options = {option for command in COMMANDS for option in _options(build_parser([command]))}
    assert {"--token-file", "--hq"} <= options
    # It says that there is none.
    options.discard("--no-passphrase")
    asking = re.compile(r"token|secret|password|passphrase|credential|-key\b")
    assert [each for each in options if asking.search(each) and not each.endswith("-file")] == []


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _options(each)
