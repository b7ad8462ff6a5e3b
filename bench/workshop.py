"""Where a case works: folders, tool folders with models in them, a real HQ, the real command."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import timing

TOOL_ID = "bench-tool"
MODEL = "models/model.bin"
BITSTATION = (sys.executable, "-m", "bitstation")
_BLOCK_BYTES = 4 * 1024 * 1024
_HQ_STOP_S = 30


class Sizes(NamedTuple):
    """How much is measured. ``quick`` bounds it, for machines that others use."""

    quick: bool = False
    rounds: int = 7
    big_bytes: int = 5 * 10**9
    sparse_bytes: int = 20 * 10**9
    scale: float = 1.0
    workloads: tuple[str, ...] = ()
    corpus: Path = Path()


class Workshop:
    """One case's folder and sizes, and what it has to show besides its rows."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.folder = folder
        self.sizes = sizes
        self.quick = sizes.quick
        self.rounds = sizes.rounds
        self.cache = folder / "cache"
        self.texts: list[str] = []
        self.drawings: dict[str, str] = {}
        folder.mkdir(parents=True)

    def attach(self, text: str) -> None:
        """Markdown that stands below the case's table."""
        self.texts.append(text)

    def draw(self, drawings: Mapping[str, str]) -> None:
        """SVG pictures, by the name of their file."""
        self.drawings.update(drawings)

    def of(self, full: int, quick: int) -> int:
        """A size or count, as bounded as was asked for."""
        return quick if self.quick else full

    def judged(self, met: bool) -> bool | None:
        """Verdict on a ratio; at small sizes it tells of process starts, so there is none."""
        return None if self.quick else met

    def bitstation(self, *words: str | Path, private: bool = False) -> timing.Measured:
        """The command as a process, its ledger of the publisher in this folder."""
        environment = {"BITSTATION_CACHE_DIR": str(self.cache), "BITSTATION_LANG": "en"}
        return timing.measure([*BITSTATION, *words], environment, private=private)

    def warm_up(self) -> None:
        """Run what will be measured once, so that Python keeps the bytecode of all it imports."""
        tool = write_tool(self.folder / TOOL_ID, "1.0.0")
        with self.hq() as hq:
            hq.publish(tool)
            self.bitstation(
                "update",
                TOOL_ID,
                "--allow-unsigned",
                "--hq",
                hq.url,
                "--root",
                self.folder / "root",
            )
        self.bitstation("status", "--root", self.folder / "root")

    @contextmanager
    def hq(self, data: Path | None = None) -> Iterator[Hq]:
        """An HQ that answers on loopback, as the process it is for users."""
        data = data or self.folder / "hq"
        words = ["hq", "serve", "--data", data, "--listen", "127.0.0.1:0", "--json"]
        log = self.folder / "hq.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*BITSTATION, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise timing.Failed(f"hq serve did not start: {log.read_text('utf-8')}")
            started = json.loads(line)
            yield Hq(self, process.pid, started["url"].rstrip("/"), started["token_file"])
        finally:
            process.terminate()
            process.wait(_HQ_STOP_S)
            if process.stdout:
                process.stdout.close()


class Hq:
    """A running HQ."""

    def __init__(self, shop: Workshop, pid: int, url: str, token_file: str) -> None:
        self._shop = shop
        self.pid = pid
        self.url = url
        self.token_file = token_file

    def file_url(self, version: str, path: str) -> str:
        """Address of a file of a release."""
        return f"{self.url}/api/v1/tools/{TOOL_ID}/{version}/files/{path}"

    def publish(self, tool: Path) -> timing.Measured:
        """Make a tool folder's manifest and bring the release to HQ; the second is measured."""
        self._shop.bitstation("manifest", tool, "-q")
        token = ("--token-file", self.token_file)
        return self._shop.bitstation("hq", "import", tool, "--hq", self.url, *token, "-q")

    def sent_bytes(self) -> int:
        """Bytes of blobs that HQ has sent so far, by its own count."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        counts = [line for line in lines if line.startswith("hq_blob_bytes_total{")]
        return sum(int(float(line.split()[-1])) for line in counts)


def write_tool(folder: Path, version: str, *, small_files: int = 40) -> Path:
    """A tool folder without a model: settings, an entry point, scripts."""
    described = {
        "tool_id": TOOL_ID,
        "name": "Tool of the bench",
        "version": version,
        "platforms": ["windows", "linux"],
        "entrypoint_windows": "runner/run.ps1",
        "io_schema": {"input": {}, "output": {}},
    }
    files = {f"scripts/{n // 1000:03}/step_{n:06}.py": f"STEP = {n}\n" for n in range(small_files)}
    files["tool.json"] = json.dumps(described, indent=2)
    files["runner/run.ps1"] = "exit 0\n"
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8", newline="\n")
    return folder


def next_release(folder: Path, version: str, *, changed: int = 3) -> None:
    """Give a tool folder another version and change a few of its scripts; nothing else."""
    described = json.loads((folder / "tool.json").read_text("utf-8"))
    (folder / "tool.json").write_text(json.dumps({**described, "version": version}, indent=2))
    for script in sorted((folder / "scripts").rglob("*.py"))[:changed]:
        script.write_text(f"STEP = {(script.stem, version)!r}\n", "utf-8")


def write_dense(path: Path, size_bytes: int) -> Path:
    """A file whose every byte lies on the disk, and whose blocks all differ."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = bytearray(random.Random(path.name).randbytes(_BLOCK_BYTES))
    with path.open("wb", buffering=0) as file:
        for number in range(-(-size_bytes // _BLOCK_BYTES)):
            block[:8] = number.to_bytes(8, "big")
            file.write(memoryview(block)[: size_bytes - number * _BLOCK_BYTES])
    return path


def write_sparse(path: Path, size_bytes: int) -> Path:
    """A file that is as long, of which only one block lies on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(b"sparse")
        file.truncate(size_bytes)
    return path


def settle(*remove: Path) -> None:
    """Remove what an earlier run left, and let the disk finish, so that nobody pays for others."""
    for path in remove:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    os.sync()
