"""The journal of a run: as it is, and with its check sums mended so that records are reached."""

from __future__ import annotations

import binascii
import io
from typing import Any, cast

from bitstation.core.lifecycle import Step
from bitstation.storage.journal import Journal, JournalFacts, read_journal


class _Held:
    """A file in memory: path and disk of a journal at once."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def open(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)

    def write_file(self, _path: object, data: bytes) -> None:
        self.data = data


def check(data: bytes) -> bool:
    """Nothing is refused: reading ends where damage begins. Facts are written and read alike."""
    facts = [_read(data), _read(_mended(data))]
    for each in facts:
        if each.begin is None:
            assert each == JournalFacts()
            continue
        held = _Held()
        journal = Journal(cast(Any, held), cast(Any, held))
        journal.begin(each.begin, each.records(), each.step or Step.STAGING)
        again = _read(held.data)
        assert _said(again) == _said(each)
    return any(each.begin is not None for each in facts)


def _said(facts: JournalFacts) -> tuple[object, ...]:
    """What the facts say: an entry whose parts became blocks has no parts."""
    parts = {entry: parts for entry, parts in facts.parts.items() if parts}
    return facts.begin, facts.done, facts.blocks, parts


def _read(data: bytes) -> JournalFacts:
    return read_journal(cast(Any, _Held(data)))


def _mended(data: bytes) -> bytes:
    bodies = [line.partition(b" ")[2] for line in data.split(b"\n")[:-1]]
    return b"".join(b"%08x %s\n" % (binascii.crc32(body), body) for body in bodies)
