"""An unchanged file costs no copy: clone, else hard link, else copy.

Hard links are for large files that nobody may write to through the other name: they are made
read-only, and whoever mends one un-shares it first.
"""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import BinaryIO

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.storage.durable import COPY_BLOCK_BYTES, Disk
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger

LINK_FROM_BYTES = 256 * 1024
"""Smaller files are copied: scripts and settings stay writable, and a copy costs no more."""

_NO_LINK = {
    errno.EXDEV,
    errno.EPERM,
    errno.EMLINK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EACCES,
    # What Python makes of the Windows errors that it has no number for: too many links, no links.
    errno.EINVAL,
}


class SourceVanished(Exception):
    """The local file is gone or is no longer what it was; the bytes must come from elsewhere."""


class Reuse:
    """Puts the content of local files under new names, as cheaply as the volume allows.

    With ``below`` the new names lie there, and no link on the way to them is followed.
    """

    def __init__(
        self, disk: Disk, ledger: Ledger, stop: Stop | None = None, *, below: Path | None = None
    ) -> None:
        self._disk = disk
        self._ledger = ledger
        self._stop = stop or Stop()
        self._below = below
        # Volumes whose files could not be cloned; adopted files may lie on another than ours.
        self._uncloneable: set[int] = set()

    def place(
        self,
        source: Path,
        target: Path,
        digest: Digest,
        *,
        executable: bool,
        may_link: bool = True,
    ) -> str:
        """Put the content of a local file at ``target``; says how: cloned, linked or copied.

        ``source`` must have been proved; a clone or link is made only while its facts still say
        so, a copy is hashed as it is written. Without ``may_link`` nothing of ``source`` is
        changed, not even how many names it has. Raises SourceVanished (nothing is left at
        ``target``), OSError, UpdateCancelled.
        """
        facts = _facts_of(source)
        if facts.size >= LINK_FROM_BYTES and self._ledger.proof(facts) == digest:
            if self._clone(source, target, facts, executable):
                return "cloned"
            same_mode = not host.HAS_MODES or facts.is_executable == executable
            if may_link and same_mode and self._link(source, target, facts, digest):
                return "linked"
        self._copy(source, target, digest, executable)
        return "copied"

    def _clone(self, source: Path, target: Path, facts: host.StatFacts, executable: bool) -> bool:
        if facts.volume in self._uncloneable:
            return False
        with _opened(source) as reader, self._opened_new(target) as writer:
            if not self._disk.clone(reader, writer):
                self._uncloneable.add(facts.volume)
            else:
                if executable:
                    self._disk.set_executable(writer)
                if host.stat_facts(reader.fileno()).same_content_as(facts):
                    return True
        self._disk.remove(target, below=self._below)
        return False

    def _link(self, source: Path, target: Path, facts: host.StatFacts, digest: Digest) -> bool:
        """Link under the ledger's lock: our own change of the stamp is carried over in the row."""
        disk, ledger, fault = self._disk, self._ledger, None
        with ledger.locked():
            if ledger.proof(_facts_of(source)) != digest:
                return False
            try:
                disk.link(source, target, below=self._below)
            except FileNotFoundError as error:
                raise SourceVanished from error
            except OSError as error:
                if error.errno in _NO_LINK:
                    return False
                raise
            try:
                if facts.is_writable:
                    disk.set_writable(target, False)
            except OSError as error:
                # Told only once the stamp that the link moved is recorded.
                fault = error
            after = host.stat_facts(target)
            if not _only_stamped(facts, after):
                disk.remove(target, below=self._below)
                raise SourceVanished
            ledger.restamp(after, digest)
        if fault:
            raise fault
        return True

    def _copy(self, source: Path, target: Path, digest: Digest, executable: bool) -> None:
        try:
            with _opened(source) as reader, self._opened_new(target) as writer:
                actual = self._pump(reader, writer)
                if executable:
                    self._disk.set_executable(writer)
            if actual != digest:
                raise SourceVanished
        except SourceVanished:
            self._disk.remove(target, below=self._below)
            raise

    def _opened_new(self, target: Path) -> BinaryIO:
        return self._disk.open_new(target, below=self._below)

    def _pump(self, reader: BinaryIO, writer: BinaryIO) -> str:
        """Copy all bytes; their digest."""
        hasher = hashlib.sha256()
        length = host.stat_facts(reader.fileno()).size
        block = memoryview(bytearray(min(COPY_BLOCK_BYTES, max(1, length))))
        while count := _read(reader, block):
            hasher.update(block[:count])
            self._disk.write(writer, block[:count])
            self._stop.check()
        return hasher.hexdigest()


def _facts_of(source: Path) -> host.StatFacts:
    try:
        facts = host.stat_facts(source)
    except OSError as error:
        raise SourceVanished from error
    if not facts.is_file:
        raise SourceVanished
    return facts


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb", buffering=0)
    except OSError as error:
        raise SourceVanished from error


def _read(reader: BinaryIO, block: memoryview) -> int:
    """Fill some of ``block``; what cannot be read here can be fetched."""
    try:
        return reader.readinto(block)  # type: ignore[attr-defined,no-any-return]
    except OSError as error:
        raise SourceVanished from error


def _only_stamped(before: host.StatFacts, after: host.StatFacts) -> bool:
    """Say whether a file's content is as it was: no act of ours moves size or write time."""
    same_file = after.identity == before.identity
    return same_file and (after.size, after.mtime_ns) == (before.size, before.mtime_ns)


def remove_name(path: Path, disk: Disk, ledger: Ledger, survivors: list[Path]) -> None:
    """Remove one name of a file without un-proving its other names.

    ``survivors``: further names of the same content that this root knows. Removing a name moves
    the change stamp of the file and, on Windows, needs the read-only attribute cleared.
    """
    with ledger.locked():
        # Inside the lock: another run may give the file a second name at any moment before it.
        try:
            facts = host.stat_facts(path)
        except FileNotFoundError:
            return
        if facts.links < 2 or not facts.is_file:
            disk.remove(path)
            return
        digest, fault = ledger.proof(facts), None
        disk.remove(path)
        other = next((name for name in survivors if _is_same_file(name, facts)), None)
        if other is None:
            return
        try:
            if not facts.is_writable and host.stat_facts(other).is_writable:
                disk.set_writable(other, False)
        except OSError as error:
            fault = error
        after = host.stat_facts(other)
        if digest and _only_stamped(facts, after):
            ledger.restamp(after, digest)
    if fault:
        raise fault


def _is_same_file(path: Path, facts: host.StatFacts) -> bool:
    try:
        return host.stat_facts(path).identity == facts.identity
    except OSError:
        return False


def move_file(
    source: Path, target: Path, disk: Disk, ledger: Ledger, *, below: Path | None = None
) -> None:
    """Move a file over a name on the same volume; a proof of it moves along."""
    with ledger.locked():
        before = host.stat_facts(source)
        digest = ledger.proof(before)
        disk.replace(source, target, below=below)
        after = host.stat_facts(target)
        if digest and _only_stamped(before, after):
            ledger.restamp(after, digest)
