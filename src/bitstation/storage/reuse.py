"""An unchanged file costs no copy: clone, else hard link, else copy.

Hard links are for large files that nobody may write to through the other name: they are made
read-only, and whoever mends one un-shares it first.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.storage.durable import COPY_BLOCK_BYTES, Disk
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.ledger import Ledger

LINK_FROM_BYTES = 256 * 1024
"""Smaller files are copied: scripts and settings stay writable, and a copy costs no more."""

_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES}


class SourceVanished(Exception):
    """The local file is gone or is no longer what it was; the bytes must come from elsewhere."""


def place_copy(
    source: Path,
    target: Path,
    digest: Digest,
    *,
    executable: bool,
    disk: Disk,
    ledger: Ledger,
    on_bytes: OnBytes | None = None,
    stop: Stop | None = None,
) -> str:
    """Put the content of a local file at ``target``; says how: cloned, linked or copied.

    ``source`` must have been proved; a clone or link is made only while its facts still say so,
    a copy is hashed as it is written. Raises SourceVanished (nothing is left at ``target``),
    OSError.
    """
    try:
        facts = host.stat_facts(source)
    except OSError as error:
        raise SourceVanished from error
    if not facts.is_file:
        raise SourceVanished
    if facts.size >= LINK_FROM_BYTES and ledger.proof(facts) == digest:
        if _clone(source, target, facts, executable, disk):
            return "cloned"
        if _link(source, target, facts, digest, executable, disk, ledger):
            return "linked"
    _copy(source, target, digest, executable, disk, on_bytes, stop)
    return "copied"


def _clone(source: Path, target: Path, facts: host.StatFacts, executable: bool, disk: Disk) -> bool:
    with source.open("rb", buffering=0) as reader, disk.open_new(target) as writer:
        if host.clone_file(reader.fileno(), writer.fileno()):
            if executable:
                host.set_executable(writer.fileno())
            if host.stat_facts(reader.fileno()).same_content_as(facts):
                return True
    disk.remove(target)
    return False


def _link(
    source: Path,
    target: Path,
    facts: host.StatFacts,
    digest: Digest,
    executable: bool,
    disk: Disk,
    ledger: Ledger,
) -> bool:
    """Link under the ledger's lock: our own change of the stamp is carried over in the row."""
    if os.name != "nt" and facts.is_executable != executable:
        return False
    with ledger.locked():
        if ledger.proof(host.stat_facts(source)) != digest:
            return False
        try:
            disk.link(source, target)
        except OSError as error:
            if error.errno in _NO_LINK:
                return False
            raise
        if facts.is_writable:
            disk.set_writable(target, False)
        after = host.stat_facts(target)
        # Size and modification time are ours to compare: no act of ours moves them.
        if (after.identity, after.size, after.mtime_ns) != (
            facts.identity,
            facts.size,
            facts.mtime_ns,
        ):
            disk.remove(target)
            raise SourceVanished
        ledger.restamp(after, digest)
    return True


def _copy(
    source: Path,
    target: Path,
    digest: Digest,
    executable: bool,
    disk: Disk,
    on_bytes: OnBytes | None,
    stop: Stop | None,
) -> None:
    hasher = hashlib.sha256()
    block = memoryview(bytearray(min(COPY_BLOCK_BYTES, max(1, source.stat().st_size))))
    with source.open("rb", buffering=0) as reader, disk.open_new(target) as writer:
        while count := reader.readinto(block):
            hasher.update(block[:count])
            disk.write(writer, block[:count])
            if on_bytes:
                on_bytes(count)
            if stop:
                stop.check()
        if executable:
            host.set_executable(writer.fileno())
    if hasher.hexdigest() != digest:
        disk.remove(target)
        raise SourceVanished


def remove_name(path: Path, disk: Disk, ledger: Ledger, survivors: list[Path]) -> None:
    """Remove one name of a file without un-proving its other names.

    ``survivors``: further names of the same content that this root knows. Removing a name moves
    the change stamp of the file and, on Windows, needs the read-only attribute cleared.
    """
    try:
        facts = host.stat_facts(path)
    except FileNotFoundError:
        return
    if facts.links < 2 or not facts.is_file:
        disk.remove(path)
        return
    with ledger.locked():
        digest = ledger.proof(host.stat_facts(path))
        disk.remove(path)
        other = next((name for name in survivors if _is_same_file(name, facts)), None)
        if other is None:
            return
        if not facts.is_writable:
            disk.set_writable(other, False)
        after = host.stat_facts(other)
        if digest and (after.size, after.mtime_ns) == (facts.size, facts.mtime_ns):
            ledger.restamp(after, digest)


def _is_same_file(path: Path, facts: host.StatFacts) -> bool:
    try:
        return host.stat_facts(path).identity == facts.identity
    except OSError:
        return False


def move_file(source: Path, target: Path, disk: Disk, ledger: Ledger) -> None:
    """Move a file over a name on the same volume; a proof of it moves along."""
    with ledger.locked():
        before = host.stat_facts(source)
        digest = ledger.proof(before)
        disk.replace(source, target)
        after = host.stat_facts(target)
        if digest and (after.size, after.mtime_ns) == (before.size, before.mtime_ns):
            ledger.restamp(after, digest)
