"""A, B, H: a tool of 100 files, real sources and libraries beside models."""

from __future__ import annotations

import random
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corpus import wheels
from corpus.weights import MB, clone, gauss, rng, to_bf16

if TYPE_CHECKING:
    from corpus.__main__ import Order


def same(order: Order) -> None:
    """A: nothing changed."""
    _tool(order.old, int(500 * MB * order.scale), order.cache)
    clone(order.old, order.new)


def few_files(order: Order) -> None:
    """B: three files of 5 MB together are modified, one is deleted."""
    _tool(order.old, int(500 * MB * order.scale), order.cache)
    adapter = "models/lora.safetensors"
    to_bf16(gauss(rng("lora"), 1_200_000, 0.01)).tofile(order.old / adapter)
    clone(order.old, order.new)
    weights = np.fromfile(order.new / adapter, np.uint16)
    fifth = len(weights) // 5
    weights[fifth : 2 * fifth] = to_bf16(gauss(rng("lora2"), fifth, 0.01))
    weights.tofile(order.new / adapter)
    _edit_words(order.new / "tokenizer/vocab0.json")
    # The third: a library of 2 MB and its next real build.
    for side, version in ((order.old, "26.0.0"), (order.new, "26.0.1")):
        with zipfile.ZipFile(wheels.wheel(order.cache, "pyarrow", version)) as file:
            library = file.read("pyarrow/libarrow_acero.so.2600")
        (side / "bin/libarrow_acero.so").write_bytes(library)
    sorted((order.new / "app").iterdir())[7].unlink()


def first(order: Order) -> None:
    """H: nothing was installed."""
    _tool(order.new, int(175 * MB * order.scale), order.cache)


def _edit_words(path: Path) -> None:
    """50 lines inserted, 200 edited."""
    lines = path.read_text("utf-8").split("\n")
    chance = random.Random(5)
    for _ in range(200):
        number = chance.randrange(1, len(lines) - 1)
        lines[number] = lines[number].replace(":", "x:")
    for added in range(50):
        lines.insert(chance.randrange(1, len(lines)), f'"added{added}": {40000 + added},')
    path.write_text("\n".join(lines), "utf-8")


def _tool(root: Path, total: int, cache: Path) -> None:
    for number, source in enumerate(_sources(88)):
        clone(source, root / ("app" if number < 60 else "nodes") / source.name)
    for name, data in _libraries(cache):
        (root / "bin").mkdir(exist_ok=True)
        (root / "bin" / name).write_bytes(data)
    (root / "config.json").write_text('{"tool": "demo", "gpu": true}\n', "utf-8")
    _vocabularies(root / "tokenizer")
    used = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    each = max(total - used, 10 * MB) // 5 // 2 * 2
    (root / "models").mkdir()
    for number in range(5):
        suffix = "safetensors" if number < 4 else "bin"
        weights = gauss(rng("tree", number), each // 2, 0.02)
        bits = to_bf16(weights) if number % 2 == 0 else weights.astype(np.float16)
        bits.tofile(root / f"models/part{number}.{suffix}")


def _sources(count: int) -> list[Path]:
    """Real sources: of the library of this Python."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found = sorted(p for p in library.glob("*.py") if 4_000 < p.stat().st_size < 200_000)
    random.Random(1).shuffle(found)
    return found[:count]


def _libraries(cache: Path) -> list[tuple[str, bytes]]:
    """The largest shared libraries of a wheel."""
    with zipfile.ZipFile(wheels.wheel(cache, "numpy", "2.4.5")) as file:
        infos = sorted(file.infolist(), key=lambda info: -info.file_size)[:3]
        return [(Path(info.filename).name, file.read(info)) for info in infos]


def _vocabularies(folder: Path) -> None:
    folder.mkdir()
    letters = rng("vocab")
    for number in range(3):
        words = [
            "".join(chr(97 + code) for code in letters.integers(0, 26, 6)) + str(index)
            for index in range(40_000)
        ]
        lines = [f'"{word}": {index}' for index, word in enumerate(words)]
        (folder / f"vocab{number}.json").write_text("{" + ",\n".join(lines) + "}", "utf-8")
