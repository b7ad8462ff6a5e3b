"""The one token of this first HQ: who shows it may publish and require."""

from __future__ import annotations

import hmac
import logging
import secrets
from pathlib import Path

from bitstation import host
from bitstation.errors import StoreCorrupt
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors

_MIN_CHARS = 32

log = logging.getLogger(__name__)


class PublisherToken:
    """Compares what a request shows with the token; never shows it in text."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode("utf-8")

    def is_shown_by(self, authorization: str | None) -> bool:
        """Say whether an Authorization header carries the token. Takes as long when it does not."""
        scheme, _, shown = (authorization or "").partition(" ")
        is_equal = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), self._secret)
        return is_equal and scheme.lower() == "bearer"


def load_token(path: Path) -> PublisherToken:
    """Token of ``path``, made at the first start and readable by its owner only.

    Raises StoreCorrupt for a file that holds no good token: an empty one would let everyone in.
    """
    disk = Disk()
    with disk_errors(path):
        if not path.exists():
            secret = secrets.token_urlsafe(32)
            disk.write_file(path, secret.encode("ascii") + b"\n", private=True)
        elif host.others_may_read(path):
            disk.make_private(path)
            log.warning("others could read %s: remove it, and a new token is made", path)
        secret = path.read_text("utf-8").strip()
    if len(secret) < _MIN_CHARS:
        raise StoreCorrupt(path=str(path), detail=f"a token has at least {_MIN_CHARS} characters")
    return PublisherToken(secret)
