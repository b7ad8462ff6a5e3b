"""One target under atheris, which ends the process.

python -m tests.fuzz.drive TARGET [arguments of libFuzzer]
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["bitstation"]):
    from tests.fuzz.inputs import load

    check = load(sys.argv[1])


def one_input(data: bytes) -> None:
    check(data)


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
    atheris.Fuzz()
