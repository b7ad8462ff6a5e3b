"""What a disk may hold after the power went: decided from a record, with nothing but chance.

What was synced is there, exactly. Of the rest:

- Names change in the order in which they were changed in one folder: every file system that this
  project supports journals or copies a folder's changes in order, and moves a name at once, between
  folders too. Changes in different folders are not ordered against each other (``BY_FOLDER``), or
  all are and folders cannot be synced, as on NTFS (``IN_ORDER``).
- Sizes, modes and times come with names or apart from them.
- Content is kept or lost in sectors, in any order, before or after the names.
- The ledger is as it was at any moment up to the crash, or gone: its commits are not synced. A row
  of it holds for a file whose size, mode and times came through as the row knows them, with
  whatever content: that is how a proof made too early would show.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable
from random import Random

import msgspec

from bitstation.core.digest import Digest
from bitstation.testing.disk_tree import Kind, Node, Tree
from bitstation.testing.recording_disk import (
    FileSynced,
    FolderSynced,
    Marked,
    NameChange,
    Record,
    Renamed,
    Resized,
    Unnamed,
    Written,
    change_names,
)

# What an extent held before it was ours, on file systems that show it.
_STALE = b"bytes of somebody's earlier file "


class Names(enum.Enum):
    """Which unsynced changes of names came through."""

    ALL = "all"
    NONE = "none"
    BY_FOLDER = "by folder"
    IN_ORDER = "in order"


class Loss(msgspec.Struct, frozen=True):
    """How a loss of power treats what was not synced."""

    names: Names = Names.ALL
    marks: float = 1.0
    """How likely sizes, modes and times of a file are as they were last; else of an earlier moment,
    at the latest of the last sync."""
    data: float = 1.0
    """How likely each sector of each write is kept."""
    sector_bytes: int = 4096
    is_stale: bool = False
    """Whether what was lost shows an earlier file's bytes, else zeros."""
    proofs: float | None = 1.0
    """At which part of the time up to the crash the ledger stands; None: it is gone."""


def killed(_random: Random) -> Loss:
    """(a) The process ends, the system goes on."""
    return Loss()


def all_lost(random: Random) -> Loss:
    """(b) Nothing that was not synced is there."""
    return Loss(Names.NONE, 0.0, 0.0, proofs=_some_proofs(random))


def some_kept(random: Random) -> Loss:
    """(c) Any part of what was not synced is there, torn at sectors."""
    return Loss(
        random.choice([Names.BY_FOLDER, Names.BY_FOLDER, Names.IN_ORDER, Names.ALL, Names.NONE]),
        random.choice([0.0, 0.5, 0.9, 1.0]),
        random.choice([0.1, 0.5, 0.9, 1.0]),
        random.choice([512, 4096]),
        random.random() < 0.5,
        _some_proofs(random),
    )


def names_first(random: Random) -> Loss:
    """(d) Names and sizes are there before the content: zeros or an earlier file's bytes are."""
    return Loss(
        random.choice([Names.ALL, Names.ALL, Names.IN_ORDER]),
        1.0,
        random.choice([0.0, 0.0, 0.5]),
        random.choice([512, 4096]),
        random.random() < 0.5,
        _some_proofs(random),
    )


MODELS: dict[str, Callable[[Random], Loss]] = {
    "a": killed,
    "b": all_lost,
    "c": some_kept,
    "d": names_first,
}
"""The four models of the checklist."""


class Survivors(msgspec.Struct, frozen=True):
    """A disk after a crash, and what the ledger proves on it; None: there is no ledger."""

    tree: Tree
    proofs: dict[int, Digest] | None


def survivors(record: Record, end: int, loss: Loss, random: Random) -> Survivors:
    """One disk that may be left when the power goes after ``end`` changes of a record."""
    tree = record.start.copy()
    for number, kind in record.nodes.items():
        tree.nodes.setdefault(number, Node(kind))
    changes = record.changes[:end]
    kept = _kept_names(record, end, loss.names, random)
    for index, change in enumerate(changes):
        if isinstance(change, NameChange) and index in kept:
            change_names(tree, change)
    moments = {}
    for number, file in _files(record, end).items():
        moments[number] = _moment_of_marks(file, loss, random)
        _restore(tree.nodes[number], file, moments[number], loss, random)
    return Survivors(tree, _proofs(record, end, loss, moments))


def _some_proofs(random: Random) -> float | None:
    """As at the crash, as at the start, gone, or as at any moment between."""
    return random.choice([1.0, 1.0, 0.0, None, random.random()])


# --- names --------------------------------------------------------------------------------------


def _folders(change: NameChange) -> set[int]:
    """Folders whose order a change keeps to. One that is removed was emptied before."""
    if isinstance(change, Renamed):
        return {change.folder, change.to_folder}
    if isinstance(change, Unnamed):
        return {change.folder, change.node}
    return {change.folder}


def _kept_names(record: Record, end: int, names: Names, random: Random) -> set[int]:
    """Indices of the changes of names that came through."""
    wanted = [i for i in range(end) if isinstance(record.changes[i], NameChange)]
    if names is Names.ALL:
        return set(wanted)
    if names is Names.IN_ORDER:
        # A file that is synced takes all that was journaled before it along.
        synced = [i for i in range(end) if isinstance(record.changes[i], FileSynced)]
        until = random.randint(synced[-1] if synced else 0, end)
        return {index for index in wanted if index < until}
    kept = _synced_names(record, end)
    if names is Names.BY_FOLDER:
        likely, cut = random.choice([0.3, 0.7, 0.95]), set[int]()
        for index in wanted:
            change = record.changes[index]
            assert isinstance(change, NameChange)
            if index in kept:
                continue
            if cut & _folders(change) or random.random() > likely:
                cut |= _folders(change)
            else:
                kept.add(index)
    return kept


def _synced_names(record: Record, end: int) -> set[int]:
    """Changes whose folder was synced since, and those before them in the folders they touch."""
    kept, needed = set(), set[int]()
    for index in range(end - 1, -1, -1):
        change = record.changes[index]
        if isinstance(change, FolderSynced):
            needed.add(change.folder)
        elif isinstance(change, NameChange) and needed & _folders(change):
            kept.add(index)
            needed |= _folders(change)
    return kept


# --- content ------------------------------------------------------------------------------------


class _File(msgspec.Struct):
    """What happened to one file: indices of its changes, and how many of them are durable."""

    changes: list[tuple[int, object]] = []
    durable: int = 0
    touched: list[int] = []
    """Indices of all that moves its change stamp, its names included."""


def _files(record: Record, end: int) -> dict[int, _File]:
    files: dict[int, _File] = defaultdict(_File)
    for index in range(end):
        change = record.changes[index]
        if isinstance(change, FolderSynced) or record.nodes[change.node] is not Kind.FILE:
            continue
        file = files[change.node]
        if isinstance(change, FileSynced):
            file.durable = index + 1
            continue
        file.touched.append(index)
        if not isinstance(change, NameChange):
            file.changes.append((index, change))
    return files


def _moment_of_marks(file: _File, loss: Loss, random: Random) -> int:
    """Up to which change size, mode and times of a file came through."""
    last = file.touched[-1] + 1 if file.touched else 0
    if loss.marks and random.random() < loss.marks:
        return last
    if not loss.marks:
        return file.durable
    return random.choice([file.durable, random.randint(min(file.durable, last), last)])


def _restore(node: Node, file: _File, moment: int, loss: Loss, random: Random) -> None:
    """Give a file the content and the marks that came through."""
    data, size = bytearray(node.data), len(node.data)
    for index, change in file.changes:
        is_durable, is_marked = index < file.durable, index < max(moment, file.durable)
        if isinstance(change, Written):
            _write(data, change, 1.0 if is_durable else loss.data, loss, random)
            if is_marked:
                size = max(size, change.offset + len(change.data))
        elif isinstance(change, Resized):
            if is_durable or is_marked:
                size = change.size_bytes
                # What lies beyond an end that was cut is gone for good.
                del data[size:]
        elif isinstance(change, Marked) and is_marked:
            node.mode = change.mode
            node.mtime_ns = change.mtime_ns or node.mtime_ns
    data.extend(bytes(max(0, size - len(data))))
    node.data = bytes(data[:size])


def _write(data: bytearray, change: Written, likely: float, loss: Loss, random: Random) -> None:
    """Write those sectors that are kept; a new one that is lost shows what was there before."""
    end = change.offset + len(change.data)
    before = len(data)
    data.extend(bytes(max(0, end - len(data))))
    at = change.offset
    while at < end:
        until = min(end, (at // loss.sector_bytes + 1) * loss.sector_bytes)
        if random.random() < likely:
            data[at:until] = change.data[at - change.offset : until - change.offset]
        elif loss.is_stale and until > before:
            start = max(at, before)
            data[start:until] = (_STALE * ((until - start) // len(_STALE) + 1))[: until - start]
        at = until


# --- the ledger ---------------------------------------------------------------------------------


def _proofs(
    record: Record, end: int, loss: Loss, moments: dict[int, int]
) -> dict[int, Digest] | None:
    """What the ledger proves of files whose facts came through as it knows them."""
    if loss.proofs is None:
        return None
    seen = [proofs for proofs in record.proofs if proofs.changes_before <= end * loss.proofs]
    files, last = _files(record, end), seen[-1]
    found = {}
    for number, digest in last.digests.items():
        file = files.get(number)
        touched = [i for i in file.touched if i < last.changes_before] if file else []
        known = touched[-1] + 1 if touched else 0
        # The moment that a row knows and the one that came through, by their last touch.
        through = [i for i in file.touched if i < moments[number]] if file else []
        if known == (through[-1] + 1 if through else 0):
            found[number] = digest
    return found
