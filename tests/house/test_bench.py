"""bench/transport at small sizes, and the parts of the bench that could lie unseen."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PEERS = ("nginx", "curl", "openssl", "rsync", "zsync", "casync", "xdelta3", "zstd")
SBIN = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"

linux = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: the bench reads /proc")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of bench/ can be imported."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))


@linux
@pytest.mark.skipif(
    any(shutil.which(peer, path=SBIN) is None for peer in PEERS), reason="needs the bench's peers"
)
def test_every_way_brings_the_new_tree(tmp_path: Path) -> None:
    words = ["--only", "transport", "--workloads", "A,B,C", "--scale", "0.05"]
    ran = subprocess.run(
        [sys.executable, ROOT / "bench/run.py", *words, "--work", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in ran.stdout.splitlines()]
    lines = {(row[0][0], row[1]): row for row in cells if len(row) == 11}
    ways = ("BitStation", "curl", "zstd -3", "rsync", "zsync", "casync", "zstd patch", "xdelta3")
    for letter in "ABC":
        for way in ways:
            row = lines[letter, way]
            # A way that is missing, or missed files, has its reason here.
            assert re.fullmatch(r"[\d.]+ (B|KB|MB)", row[2]), row
            assert re.match(r"[\d.]+ s \(", row[4]), row
    # What is known of these trees without measuring: the model is whole to curl, patches are not.
    assert lines["C", "curl"][2] == "70.2 MB"
    assert lines["C", "xdelta3"][2].endswith(" KB")


@linux
@pytest.mark.usefixtures("bench")
def test_the_proxy_counts_every_byte_each_way() -> None:
    import wire

    asked, answer = b"x" * 1_000, b"y" * 3_000_000
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _address = listener.accept()
            with connection:
                left = len(asked)
                while left:
                    left -= len(connection.recv(left))
                connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        with wire.counted(listener.getsockname()[1]) as counted:
            with socket.create_connection(("127.0.0.1", counted.port)) as client:
                client.sendall(asked)
                got = b"".join(iter(lambda: client.recv(65536), b""))
            server.join()
            assert got == answer
            assert (counted.up_bytes, counted.down_bytes) == (len(asked), len(answer))
            assert counted.connections == 1


@pytest.mark.usefixtures("bench")
def test_a_picture_is_svg_whose_bars_follow_the_scale() -> None:
    import plots

    panel = plots.Panel("A & <B>", [("BitStation", 10.0), ("curl", 1000.0), ("rsync", None)])
    root = ElementTree.fromstring(plots.bars("title", [panel], "{:.0f} B".format))
    texts = [text.text for text in root.findall(".//{*}text")]
    assert {"A & <B>", "10 B", "1000 B", "no figure"} <= set(texts)
    ours, curl, none = (
        float(bar.attrib["width"])
        for bar in root.findall(".//{*}rect")
        if bar.attrib["class"] in ("ours", "peer")
    )
    # From 10 to 1000 on a scale of two powers of ten.
    assert none == 0 < ours < curl


@pytest.mark.usefixtures("bench")
def test_sections_that_were_not_measured_stay_as_they_are(tmp_path: Path) -> None:
    import report
    import results

    def section(name: str, figure: str) -> results.Section:
        row = report.Row("case", figure, "", "", "", None)
        return results.Section(name, 3, "alone", [row], ["below"], {f"{name}.svg": "<svg/>"})

    order = ("first", "second")
    results.write([section("first", "1 s"), section("second", "2 s")], "here", order, tmp_path)
    results.write([section("second", "3 s")], "here", order, tmp_path)
    text = (tmp_path / results.NAME).read_text("utf-8")
    assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ["first", "second"]
    assert "1 s" in text
    assert "2 s" not in text
    assert "3 s" in text
    assert (tmp_path / "plots/second.svg").exists()
    assert "(plots/second.svg)" in text


@pytest.mark.usefixtures("bench")
def test_a_patch_is_made_from_the_most_alike_old_file(tmp_path: Path) -> None:
    from peers.peer import likeness

    for name in ("lib.so.1.2", "libother.so.1.2", "stays.gguf"):
        (tmp_path / name).write_bytes(bytes(100_000))
    old = dict.fromkeys(("lib.so.1.2", "libother.so.1.2", "stays.gguf"), "x")
    new = dict.fromkeys(("lib.so.1.3", "stays.gguf", "more.gguf", "new.txt"), "y")
    pair = SimpleNamespace(old=tmp_path, old_digests=old, new_digests=new)
    found = {path: likeness(pair, path) for path in new}
    assert found == {
        "lib.so.1.3": "lib.so.1.2",
        "stays.gguf": "stays.gguf",
        "more.gguf": "stays.gguf",
        "new.txt": None,
    }
