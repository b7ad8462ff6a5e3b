"""Sizes as people write them."""

from __future__ import annotations

import argparse
import re

_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("KB", "MB", "GB"), start=1)},
    **{unit: 1024**power for power, unit in enumerate(("KIB", "MIB", "GIB"), start=1)},
}


def parse_size(text: str) -> int:
    """Bytes of a size such as 1900000000, 1900MB or 1.9GiB. Raises ArgumentTypeError."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMG]i?B)?", text, re.IGNORECASE)
    size_bytes = int(float(match[1]) * _UNITS[(match[2] or "").upper()]) if match else 0
    if size_bytes < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 1900MB or 1.9GiB")
    return size_bytes
