"""SHA-256 digests as values."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

Digest = NewType("Digest", str)
"""64 lower-case hexadecimal digits: the SHA-256 that names a blob, a file or a manifest."""

HEX_PATTERN = "^[0-9a-f]{64}$"
_HEX = re.compile(r"[0-9a-f]{64}\Z")

EMPTY = Digest(hashlib.sha256(b"").hexdigest())


def is_digest(text: object) -> bool:
    """Say whether ``text`` is spelled as a digest is: upper case is refused, not mended."""
    return isinstance(text, str) and _HEX.match(text) is not None


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    """Digest of bytes in memory."""
    return Digest(hashlib.sha256(data).hexdigest())
