"""How the publisher tells of work that takes long; the command line gives it words and a bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.proving import Proof, prove_files

Progress = Callable[[str, str, int], OnBytes]
"""Called as ``hash``, ``map``, ``compress``, ``patch``, ``pack``, ``prove`` or ``fetch`` begins,
with the tool or file it is about and the bytes there are; the answer takes each count of bytes
done."""


def silent(_kind: str, _subject: str, _total_bytes: int) -> OnBytes:
    """Tell nobody."""
    return lambda _count: None


def prove_shown(
    paths: Sequence[Path], ledger: Ledger, subject: str, progress: Progress, stop: Stop | None
) -> list[Proof]:
    """``prove_files``, shown when there is anything to hash."""
    shown: list[OnBytes] = []

    def begin(total_bytes: int) -> None:
        shown.append(progress("hash", subject, total_bytes))

    def count(done_bytes: int) -> None:
        shown[0](done_bytes)

    return prove_files(paths, ledger, on_total=begin, on_bytes=count, stop=stop)
