"""A very large GGUF, sparse at its source, and an edit of its metadata: memory all the way."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import timing
import workshop
from releases import Releases
from report import Row

_BOUND_BYTES = 150_000_000
_PATCH_BOUND_BYTES = 300_000_000
_TENSOR_BYTES = 256 * 1024 * 1024
_ALIGNMENT = 32
_STRING, _BLOCKED_I8 = 8, 24


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """A row for the publisher and one for the worker."""
    size = shop.sizes.sparse_bytes
    tool = workshop.write_tool(shop.folder / workshop.TOOL_ID, "1.0.0", small_files=4)
    model = tool / "models/model.gguf"
    write_gguf(model, size, "first")
    releases = Releases(shop, shop.folder / "releases")
    root = shop.folder / "root"
    with releases.serve() as server:
        words = (
            "update",
            workshop.TOOL_ID,
            "--allow-unsigned",
            "--hq",
            server.url,
            "--root",
            root,
            "-q",
        )
        publishing = _if_there_is_space(shop, size, lambda: releases.publish(tool))
        install = _if_there_is_space(shop, size, lambda: shop.bitstation(*words, private=True))
        workshop.next_release(tool, "1.0.1")
        model.unlink()
        write_gguf(model, size, "second, with a longer description" * 8)
        again = _if_there_is_space(shop, size, lambda: releases.publish(tool))
        # The worker has the earlier model; the disk need not hold it a fourth time.
        releases.lose_earlier(least_bytes=size // 2)
        update = _if_there_is_space(shop, size, lambda: shop.bitstation(*words, private=True))
    subject = f"a sparse GGUF of {size / 1e9:.0f} GB"
    yield _row(f"publisher, {subject}", {"first": publishing, "metadata edited": again})
    yield _row(f"worker, {subject}", {"install": install, "update": update})


def _if_there_is_space(
    shop: workshop.Workshop, size: int, step: Callable[[], timing.Measured]
) -> timing.Measured:
    """A step that may write the whole file densely; others work on this disk too. Raises Failed."""
    free = shutil.disk_usage(shop.folder).free
    if free < 1.2 * size:
        raise timing.Failed(f"needs {1.2 * size / 1e9:.0f} GB of disk, there are {free / 1e9:.0f}")
    return step()


def _row(case: str, runs: dict[str, timing.Measured]) -> Row:
    (first, plain), (second, patched) = runs.items()
    ours = ", ".join(
        f"{name} {run.peak_rss_bytes / 1e6:.0f} MB ({run.private_bytes / 1e6:.0f} private), "
        f"{run.wall_s:.1f} s"
        for name, run in ((first, plain), (second, patched))
    )
    most = max(plain.private_bytes, patched.private_bytes)
    met = plain.private_bytes <= _BOUND_BYTES and patched.private_bytes <= _PATCH_BOUND_BYTES
    target = f"{first} <= 150 MB, {second} <= 300 MB, private"
    return Row(f"peak RSS of the {case}", ours, "", f"{most / 1e6:.0f} MB private", target, met)


def write_gguf(path: Path, size_bytes: int, description: str) -> None:
    """A valid GGUF v3 of about this size: one text, tensors of bytes that are all zero."""
    count = max(1, size_bytes // _TENSOR_BYTES)
    header = struct.pack("<4sIQQ", b"GGUF", 3, count, 2)
    for key, value in (("general.architecture", "llama"), ("general.description", description)):
        header += _text(key) + struct.pack("<I", _STRING) + _text(value)
    for number in range(count):
        shape = struct.pack("<IQ", 1, _TENSOR_BYTES)
        offset = struct.pack("<IQ", _BLOCKED_I8, number * _TENSOR_BYTES)
        header += _text(f"blk.{number}.weight") + shape + offset
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header + bytes(-len(header) % _ALIGNMENT))
        file.truncate(file.tell() + count * _TENSOR_BYTES)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()
