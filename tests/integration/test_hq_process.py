"""HQ as a process: started, stopped, killed, started again; and how much memory it takes."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation.core.digest import Digest, digest_of
from bitstation.errors import StoreCorrupt, StoreLocked, UsageError
from bitstation.hq.headquarters import Headquarters
from bitstation.hq.serve import serve
from bitstation.storage.blobs import BlobFolder
from bitstation.testing.local_hq import LocalHq, local_hq
from tests.integration.hq_requests import (
    SESSIONS,
    calling,
    manifest_of,
    manifest_of_entry,
)

DATA = bytes(range(256)) * 4096
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: /proc, sparse files")


def test_a_restart_keeps_everything(tmp_path: Path):
    paths = [
        "/catalog.json",
        "/api/v1/tools",
        "/api/v1/requirements",
        "/api/v1/tools/add/1.0.0/manifest.json",
        "/api/v1/tools/add/1.0.0/files/a.bin",
    ]
    with local_hq(tmp_path) as hq:
        token = hq.token
        with calling(hq) as caller:
            caller.publish({"a.bin": DATA}, "add", "1.0.0")
            caller.authorized("PUT", "/api/v1/tools/add/requirement", b'{"version":"1.0.0"}')
            session = caller.open_session(manifest_of({"b.bin": DATA + b"b"}, "add", "1.1.0"))
            span = f"bytes 0-999/{len(DATA) + 1}"
            caller.put(session, DATA[:1000], digest_of(DATA + b"b"), Content_Range=span)
            before = [caller.get(path).body for path in paths]
        assert hq.stop() == 0
    with local_hq(tmp_path) as hq, calling(hq) as caller:
        assert hq.token == token
        assert [caller.get(path).body for path in paths] == before
        again = caller.authorized("GET", f"{SESSIONS}/{session['session_id']}").json
        assert again["wanted"][0]["received"] == 1000
        span = f"bytes 1000-{len(DATA)}/{len(DATA) + 1}"
        rest = DATA[1000:] + b"b"
        assert caller.put(again, rest, digest_of(DATA + b"b"), Content_Range=span).status == 200
        assert caller.commit(again).status == 200


def test_a_kill_in_the_middle_of_an_upload_leaves_nothing_half_visible(tmp_path: Path):
    data = os.urandom(1 << 20) * 8
    digest, manifest = digest_of(data), manifest_of({"a.bin": data})
    with local_hq(tmp_path) as hq, calling(hq) as caller:
        session = caller.open_session(manifest)
        head = (
            f"PUT {SESSIONS}/{session['session_id']}/blobs/{digest} HTTP/1.1\r\nHost: h\r\n"
            f"Authorization: Bearer {hq.token}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        with socket.create_connection(caller.address, timeout=30) as connection:
            connection.sendall(head.encode() + data[:5_000_000])
            wait_for(lambda: part_size(tmp_path) >= 3_000_000)
            hq.kill()
    assert not blob_files(tmp_path, digest)
    with local_hq(tmp_path) as hq, calling(hq) as caller:
        assert caller.get("/api/v1/tools/add").status == 404
        assert caller.get(f"/api/v1/blobs/sha256/{digest}").status == 404
        session = caller.open_session(manifest)
        (wanted,) = session["wanted"]
        assert wanted["received"] >= 3_000_000
        span = f"bytes {wanted['received']}-{len(data) - 1}/{len(data)}"
        caller.put(session, data[wanted["received"] :], digest, Content_Range=span)
        assert caller.commit(session).status == 200
        assert caller.get("/api/v1/tools/add/1.0.0/files/a.bin").body == data


def test_a_blob_whose_last_byte_came_before_the_crash_is_proved_at_the_next_session(tmp_path: Path):
    right, wrong = DATA + b"right", DATA + b"wrong"
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{digest_of(right)}.part").write_bytes(right)
    (incoming / f"{digest_of(wrong)}.part").write_bytes(bytes(len(wrong)))
    with local_hq(tmp_path) as hq, calling(hq) as caller:
        session = caller.open_session(manifest_of({"r": right, "w": wrong}))
        assert session["wanted"] == [
            {"sha256": digest_of(wrong), "size": len(wrong), "received": 0}
        ]


def test_a_stop_lets_an_answer_under_way_end(tmp_path: Path):
    data = os.urandom(1 << 20) * 24
    with local_hq(tmp_path) as hq:
        with calling(hq) as caller:
            caller.publish({"a.bin": data}, "add", "1.0.0")
            address = caller.address
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(
                b"GET /api/v1/tools/add/1.0.0/files/a.bin HTTP/1.1\r\nHost: h\r\n\r\n"
            )
            answer = bytearray(connection.recv(65536))
            hq.process.terminate()
            time.sleep(0.3)
            while block := connection.recv(1 << 20):
                answer += block
        assert bytes(answer).partition(b"\r\n\r\n")[2] == data
        assert hq.process.wait(20) == 0


def test_two_hqs_cannot_share_a_folder(tmp_path: Path):
    with Headquarters(tmp_path), pytest.raises(StoreLocked) as caught, Headquarters(tmp_path):
        pass
    assert str(os.getpid()) in str(caught.value)
    with Headquarters(tmp_path):
        pass


def test_the_command_says_that_the_folder_is_taken(tmp_path: Path):
    words = [sys.executable, "-m", "bitstation", "hq", "serve", "--data", str(tmp_path)]
    with local_hq(tmp_path):
        second = subprocess.run(
            [*words, "--listen", "127.0.0.1:0"], capture_output=True, timeout=60, check=False
        )
    assert second.returncode == 75


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "127.0.0.1",
        ":8765",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:99999",
        "no.such.host.invalid:0",
    ],
)
def test_an_address_that_cannot_be_is_a_usage_error(tmp_path: Path, listen: str):
    with pytest.raises(UsageError):
        serve(tmp_path, listen)


def test_an_address_in_use_is_a_usage_error(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError):
        serve(tmp_path, f"127.0.0.1:{taken.getsockname()[1]}")


def test_the_log_names_the_token_file_and_never_the_token(tmp_path: Path):
    log = tmp_path / "log"
    with local_hq(tmp_path / "hq", log) as hq, calling(hq) as caller:
        caller.publish({"a.bin": DATA}, "add", "1.0.0")
        caller.authorized("PUT", "/api/v1/tools/add/requirement", b'{"version":"1.0.0"}')
        token = hq.token
        hq.stop()
    said = log.read_text()
    assert str(tmp_path / "hq" / "publisher-token") in said
    assert token not in said
    for words in ("listens on", "published add 1.0.0", "requires add 1.0.0", "stopped"):
        assert said.count(words) == 1
    assert "GET" not in said
    assert len(said.splitlines()) == 4


@pytest.mark.skipif(os.name == "nt", reason="only on POSIX: modes")
def test_the_token_is_for_its_owner_only(tmp_path: Path):
    with Headquarters(tmp_path) as hq:
        assert stat.S_IMODE(hq.token_path.stat().st_mode) == 0o600
        first = hq.token_path.read_bytes()
    with Headquarters(tmp_path) as hq:
        assert hq.token_path.read_bytes() == first


@pytest.mark.parametrize("content", [b"", b"\n", b"short"])
def test_an_emptied_token_file_lets_nobody_in(tmp_path: Path, content: bytes):
    (tmp_path / "publisher-token").write_bytes(content)
    with pytest.raises(StoreCorrupt):
        Headquarters(tmp_path)
    (tmp_path / "publisher-token").unlink()
    with Headquarters(tmp_path) as hq:
        assert not hq.token.is_shown_by("Bearer ")


# --- memory -------------------------------------------------------------------------------------

HUGE = 5 * 1024**3
HUGE_DIGEST = Digest("7f06c62352aebd8125b2a1841e2b9e1ffcbed602f381c3dcb3200200e383d1d5")
HUGE_PATH = "/api/v1/tools/big/1.0.0/files/huge.bin"


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHq]:
    """An HQ with a file of 5 GiB of zeroes, sparse, and laid straight into its place."""
    folder = tmp_path_factory.mktemp("huge")
    with local_hq(folder) as hq, calling(hq) as caller:
        place = BlobFolder(folder).path_of(HUGE_DIGEST)
        place.parent.mkdir(parents=True)
        with place.open("wb") as blob:
            blob.truncate(HUGE)
        session = caller.open_session(manifest_of_entry("huge.bin", HUGE_DIGEST, HUGE))
        assert session["wanted"] == []
        assert caller.commit(session).status == 200
        yield hq


def memory_bytes(hq: LocalHq, which: str) -> int:
    text = Path(f"/proc/{hq.process.pid}/status").read_text("ascii")
    return int(text.split(f"{which}:")[1].split()[0]) * 1024


@ON_LINUX
def test_a_file_of_five_gigabytes_passes_through_little_memory(holder: LocalHq):
    # The last gigabyte and a half: across the 4 GiB mark, and long enough to show in memory.
    span = 3 * 1024**3 // 2
    received, block = 0, bytearray(1 << 22)
    with calling(holder) as caller:
        assert caller.send("HEAD", HUGE_PATH).headers["content-length"] == str(HUGE)
        address = caller.address
    with socket.create_connection(address, timeout=30) as connection:
        request = f"GET {HUGE_PATH} HTTP/1.1\r\nHost: h\r\nRange: bytes=-{span}\r\n"
        connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
        while count := connection.recv_into(block):
            received += count
    assert span < received < span + 2000
    assert memory_bytes(holder, "VmHWM") < 150e6


@ON_LINUX
def test_readers_who_stop_reading_hold_little_memory(holder: LocalHq):
    with calling(holder) as caller, contextlib.ExitStack() as stalled:
        before = memory_bytes(holder, "VmRSS")
        for _ in range(200):
            connection = socket.create_connection(caller.address, timeout=30)
            stalled.enter_context(connection)
            connection.sendall(f"GET {HUGE_PATH} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert caller.get(HUGE_PATH, Range="bytes=0-9").body == bytes(10)
        time.sleep(1)
        assert memory_bytes(holder, "VmRSS") - before < 120e6
        assert caller.get("/healthz").status == 200


STALLING = """
import sys
from pathlib import Path
import bitstation.hq.serve as hq
hq._STALLED_MS = 1000
hq.serve(Path(sys.argv[1]), "127.0.0.1:0", lambda url, _root: print(url, flush=True))
"""


@ON_LINUX
def test_a_reader_who_takes_nothing_is_cut_off(tmp_path: Path):
    words = [sys.executable, "-c", STALLING, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout
        url = process.stdout.readline().decode().strip()
        with calling(LocalHq(process, url, tmp_path / "publisher-token", "")) as caller:
            caller.publish({"a.bin": os.urandom(1 << 20) * 24}, "add", "1.0.0")
            with socket.create_connection(caller.address, timeout=30) as stalled:
                path = "/api/v1/tools/add/1.0.0/files/a.bin"
                stalled.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                wait_for(lambda: open_blobs(process.pid) == 1)
                wait_for(lambda: open_blobs(process.pid) == 0)
        process.terminate()


def open_blobs(process_id: int) -> int:
    count = 0
    for entry in Path(f"/proc/{process_id}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += "/blobs/sha256/" in str(entry.readlink())
    return count


def test_a_folder_with_an_odd_name(tmp_path: Path):
    folder = tmp_path / "hq %41#ñ ;x"
    with local_hq(folder) as hq, calling(hq) as caller:
        caller.publish({"a.bin": DATA}, "add", "1.0.0")
        assert hq.stop() == 0
    with local_hq(folder) as hq, calling(hq) as caller:
        assert caller.get("/api/v1/tools/add/1.0.0/files/a.bin").body == DATA


def part_size(folder: Path) -> int:
    return sum(part.stat().st_size for part in (folder / "incoming").iterdir())


def blob_files(folder: Path, digest: str) -> list[Path]:
    return list((folder / "blobs").rglob(digest))


def wait_for(holds) -> None:
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")
