"""models.lock.json: models that are not in git, named by what they must be and where they lie."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bitstation.core.canonical import MAX_INTEGER, JsonFault, JsonValue, parse_json
from bitstation.core.digest import Digest, is_digest
from bitstation.core.relpath import collisions, path_fault
from bitstation.core.scopes import Scope, scope_of
from bitstation.errors import ToolFolderInvalid

LOCK_NAME = "models.lock.json"
MAX_LOCK_BYTES = 1024 * 1024

_FIELDS = frozenset(("path", "sha256", "size", "url"))


class LockedModel(msgspec.Struct, frozen=True):
    """One model: where it belongs in the tool folder, what it is (size in bytes), its origin."""

    path: str
    sha256: Digest
    size: int
    url: str


def load_lock(folder: Path) -> tuple[LockedModel, ...]:
    """Models that a tool folder locks; none where it has no lock file.

    Raises ToolFolderInvalid naming every fault.
    """
    file = folder / LOCK_NAME
    try:
        with file.open("rb") as reader:
            data = reader.read(MAX_LOCK_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ToolFolderInvalid.of(str(file), [f"cannot be read: {error.strerror}"]) from error
    return parse_lock(data, what=str(file))


def parse_lock(data: bytes, *, what: str = LOCK_NAME) -> tuple[LockedModel, ...]:
    """Checked models of a lock file. Raises ToolFolderInvalid naming every fault.

    A field that is not known is refused: a misspelt one would be a check that never runs.
    """
    if len(data) > MAX_LOCK_BYTES:
        raise ToolFolderInvalid.of(what, [f"larger than {MAX_LOCK_BYTES} bytes"])
    try:
        rows = parse_json(data)
    except JsonFault as fault:
        raise ToolFolderInvalid.of(what, [str(fault)]) from fault
    if not isinstance(rows, list):
        raise ToolFolderInvalid.of(what, ["not a list of models"])
    found = [(number, _row_fault(row)) for number, row in enumerate(rows)]
    faults = [f"[{number}]: {fault}" for number, fault in found if fault]
    if not faults:
        models = msgspec.convert(rows, tuple[LockedModel, ...])
        faults = list(collisions(model.path for model in models))
    if faults:
        raise ToolFolderInvalid.of(what, faults)
    return models


def _row_fault(row: JsonValue) -> str | None:
    if not isinstance(row, dict) or set(row) != _FIELDS:
        return "not an object with exactly path, sha256, size and url"
    path, size, url = row["path"], row["size"], row["url"]
    if not isinstance(path, str) or (fault := path_fault(path)):
        return f"path {str(path)[:120]!r}: {fault if isinstance(path, str) else 'not a string'}"
    scope, rule = scope_of(path)
    if scope is not Scope.RELEASE:
        return f"path {path!r} belongs to the {scope.value} scope ({rule}), not to a release"
    if not is_digest(row["sha256"]):
        return "sha256 is not 64 lower-case hexadecimal digits"
    if type(size) is not int or not 0 <= size <= MAX_INTEGER:
        return "size is not an integer from 0 to 2^53-1"
    if not isinstance(url, str) or not is_web_address(url):
        return "url is not an http or https address without a user name"
    return None


def is_web_address(url: str) -> bool:
    """Say whether ``url`` is absolute, http or https, and carries no credentials."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.username is None
            and parts.port != 0
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        return False
