"""Changes of inputs by chance, for where no coverage leads: in the tests, and without atheris."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_TELLING = (
    b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff" * 4, b"\xff" * 8, b"\xff" * 8 + b"\x7f",
    b"\x00" * 8, b"\n", b"\r\n", b" ", b"/", b"..", b"\\", b'"', b"-1", b"0", b"1e9",
    b"9007199254740993", b"18446744073709551616", b"null", b"[[", b"{}",
    b"\xed\xa0\x80", b"\xef\xbb\xbf",
)  # fmt: skip


def changed(seeds: Sequence[bytes], chance: Random) -> bytes:
    """One of the seeds with one to eight changes."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 8)):
        at = chance.randint(0, len(data))
        end = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 32)))
        match chance.randrange(7):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = chance.choice(_TELLING)
            case 2:
                data[at:end] = chance.choice(_TELLING)
            case 3:
                data[at:at] = data[at:end]
            case 4:
                other = chance.choice(seeds)
                start = chance.randint(0, len(other))
                data[at:end] = other[start : start + 32]
            case 5:
                del data[at:]
            case _ if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
    return bytes(data)
