"""The release whose successors the tests of making make: a file of every kind."""

from __future__ import annotations

import random
import struct

from bitstation.testing.releases import Release, make_release
from tests.unit.model_files import STRING, Tensor, gguf, key_value, safetensors

MIB = 1 << 20


def noise(length: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(length)


def text(length: int, seed: int) -> bytes:
    """Lines that pack well, as code does."""
    rng = random.Random(seed)
    words = [f"word{number}" for number in range(400)]
    lines = (" ".join(rng.choices(words, k=8)) for _ in range(length // 50 + 1))
    return "\n".join(lines).encode()[:length]


def floats(count: int, seed: int, width: int = 2) -> bytes:
    """Weights as models have them: bf16 is the upper half of f32."""
    rng = random.Random(seed)
    raw = struct.pack(f"<{count}f", *(rng.gauss(0, 0.02) for _ in range(count)))
    return raw if width == 4 else b"".join(raw[at + 2 : at + 4] for at in range(0, len(raw), 4))


def quants(length: int, seed: int) -> Tensor:
    """A tensor in Q4_K: 144 bytes hold 256 elements."""
    rows = length // 144
    return Tensor(f"blk.{seed}.weight", 12, (256, rows), noise(rows * 144, seed))


def model(template: str, tensors: list[Tensor]) -> bytes:
    vocabulary = text(60_000, 5).decode()
    metadata = [
        key_value("general.name", STRING, "sample"),
        key_value("tokenizer.vocabulary", STRING, vocabulary),
        key_value("tokenizer.chat_template", STRING, template),
    ]
    return gguf(tensors, metadata)


def edited(data: bytes, at: int, piece: bytes) -> bytes:
    return data[:at] + piece + data[at + len(piece) // 2 :]


OLD_FILES = {
    "app/main.py": text(20_000, 1),
    "app/util.py": text(3_000, 2),
    "bin/libcore.so.2600": text(300_000, 3) + noise(200_000, 3),
    "data/big.bin": noise(700_000, 4),
    "empty.txt": b"",
    "models/zero.bin": bytes(600_000),
    "models/raw.bin": floats(150_000, 6),
    "readme.txt": b"short",
    "weights.gguf": model("hello", [quants(1_200_000, 8), quants(2_500_000, 9)]),
    "weights.safetensors": safetensors(
        [
            ("a", "BF16", [300_000], floats(300_000, 7)),
            ("b", "F32", [40_000], floats(40_000, 8, 4)),
            ("c", "F32", [600_000], bytes(2_400_000)),
        ],
        {"format": "pt"},
    ),
}
OLD = make_release(OLD_FILES, "1.0.0")


def changed(version: str = "1.1.0", **files: bytes | None) -> Release:
    """The old release with files changed (``__`` for /, ``_`` for .), or taken away by None."""
    contents: dict[str, bytes] = dict(OLD_FILES)
    for name, data in files.items():
        path = name.replace("__", "/").replace("_", ".")
        contents.pop(path, None)
        if data is not None:
            contents[path] = data
    return make_release(contents, version)
