"""README and quick start, run as they are written: files, commands, output; in both languages.

A block ``sh`` is run line by line (``# exit N`` says how a line ends), a block ``text`` is what
the commands before it show, a block after the name of a file is saved. Other blocks are not run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICK_STARTS = {
    "en": ROOT / "docs/QUICKSTART_DELTA_UPDATE.md",
    "es": ROOT / "docs/QUICKSTART_DELTA_UPDATE.es.md",
}
HQ = "http://127.0.0.1:8765"
BLOCK = re.compile(
    r"(?:^`(?P<file>[\w./-]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
BITSTATION = [sys.executable, "-m", "bitstation"]


def blocks(page: Path, kinds: set[str]) -> list[tuple[str, str, str]]:
    """(file, kind, body) of every block that counts."""
    text = page.read_text("utf-8")
    found = [(match["file"] or "", match["kind"], match["body"]) for match in BLOCK.finditer(text)]
    return [block for block in found if block[0] or block[1] in kinds]


def test_both_languages_save_and_run_the_same() -> None:
    english, spanish = (blocks(page, {"sh", "text"}) for page in QUICK_STARTS.values())
    assert [block for block in english if block[1] != "text"] == [
        block for block in spanish if block[1] != "text"
    ]
    assert [kind for _file, kind, _body in english] == [kind for _file, kind, _body in spanish]
    assert len(english) > 20


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONUTF8", "1")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")


@pytest.mark.parametrize("language", QUICK_STARTS)
def test_the_quick_start_does_what_it_says(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSTATION_LANG", language)
    shown, url = "", HQ
    with ExitStack() as stack:
        for file, kind, body in blocks(QUICK_STARTS[language], {"sh", "text"}):
            if file:
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / file).write_text(body, "utf-8", newline="\n")
            elif kind == "text":
                expect_lines(body.replace(HQ, url), shown)
            elif "hq serve" in body:
                url, shown = stack.enter_context(serving(body))
            else:
                shown = "".join(run(line.replace(HQ, url)) for line in body.splitlines())


def test_the_readme_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_LANG", "en")
    for folder in ("tools/add", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    url, ran = HQ, 0
    with ExitStack() as stack:
        for _file, kind, body in blocks(ROOT / "README.md", {"sh", "python"}):
            if kind == "python":
                assert run(shlex.join(["python", "-c", body.replace(HQ, url)])).endswith(
                    "ELIGIBLE\n"
                )
                continue
            for line in body.splitlines():
                ran += 1
                if "hq serve" in line:
                    url, _shown = stack.enter_context(serving(line))
                else:
                    run(line.replace(HQ, url))
    assert ran > 10


def expect_lines(expected: str, shown: str) -> None:
    """Every line of a page's output stands in the true one, in this order."""
    lines = iter(shown.splitlines())
    for line in filter(None, expected.splitlines()):
        assert line in lines, f"{line!r} is not shown after the lines before it in:\n{shown}"


def run(line: str) -> str:
    """What a command of a page shows; it must end as the page says."""
    words = shlex.split(line, comments=True)
    if not words:
        return ""
    expected = re.search(r"# exit ([0-9]+)", line)
    start = BITSTATION if words[0] == "bitstation" else [sys.executable]
    ran = subprocess.run(
        [*start, *words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = ran.stdout.decode("utf-8").replace("\r\n", "\n")
    assert ran.returncode == (int(expected[1]) if expected else 0), f"{line}\n{output}"
    return output


@contextmanager
def serving(body: str) -> Iterator[tuple[str, str]]:
    """The page's HQ on a free port: its address and what it shows first."""
    words = [*shlex.split(body)[1:], "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*BITSTATION, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode("utf-8")
            address = re.search(r"http://127\.0\.0\.1:[0-9]+", line)
            assert address, line
            yield address[0], line
        finally:
            process.kill()
