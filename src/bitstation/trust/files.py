"""Files of metadata on this machine's disk, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

from bitstation.errors import SignatureRefused
from bitstation.storage.faults import disk_errors


def read_file(path: Path, most_bytes: int) -> bytes | None:
    """A file of at most so many bytes; None where there is none.

    Raises SignatureRefused for a larger one, StoreError.
    """
    with disk_errors(path):
        try:
            with path.open("rb") as file:
                data = file.read(most_bytes + 1)
        except FileNotFoundError:
            return None
    if len(data) > most_bytes:
        raise SignatureRefused(source=str(path), what=path.name, detail="it is too large")
    return data
