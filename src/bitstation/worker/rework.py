"""Files remade in place, where there is no room for two copies: the old release is given up first.

Crash: current.txt is gone and the tool is INTERRUPTED; the journal and the plan stay. The next
update to the same release goes on: blocks are looked for where they were and where they go, proved
by their digests, and only those that are at neither place are fetched.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bitstation import host
from bitstation.core.lifecycle import Step
from bitstation.core.moves import Move, order_moves
from bitstation.core.plan import How, Plan, PlanEntry
from bitstation.core.recipe import Copy
from bitstation.storage.hashing import read_full
from bitstation.storage.journal import StepBegun
from bitstation.storage.reuse import move_file
from bitstation.worker.aside import set_aside
from bitstation.worker.building import Building
from bitstation.worker.carry import left_behind
from bitstation.worker.discard import discard_tree
from bitstation.worker.run import Run
from bitstation.worker.wants import Want, wants_of


class _Place(NamedTuple):
    """Where a block of a file must stand."""

    number: int
    offset: int
    length: int
    digest: bytes


def is_rework(entry: PlanEntry) -> bool:
    """Say whether an entry is remade in place."""
    return entry.how is How.REWORK


def give_up(run: Run, plan: Plan, staging: Path) -> None:
    """Give the old release up, its files that are to be reworked moved into staging.

    What users left in it is carried or set aside first. All that can be placed otherwise was.
    Raises OSError (the old release is current still, when its folder could not be moved).
    """
    version = plan.given_up
    assert version is not None
    tree, gone = run.tree, run.tree.retired(version)
    if not gone.exists() and tree.release(version).exists():
        manifest = tree.manifest(version)
        if manifest is not None:
            folder = tree.release(version)
            unlisted = left_behind(folder, manifest, staging, manifest)
            if manifest.delete_policy != "aggressive":
                set_aside(run, version, folder, unlisted)
        _take_out(run, version, gone)
    reworked = list(filter(is_rework, plan.entries))
    for entry in reworked:
        target = staging / entry.path
        if not target.exists() and (gone / entry.origin).exists():
            run.disk.make_dir(target.parent)
            source = gone / entry.origin
            move_file(source, target, run.disk, run.ledger, below=tree.releases)
    run.disk.sync_dirs([(staging / entry.path).parent for entry in reworked], run.root.path)
    # NTFS syncs no folder, but with a file all that it journaled before: the pointer must be gone
    # for good before a byte of what it named is changed.
    run.journal.append(StepBegun(Step.STAGING), durable=True)
    discard_tree(run, gone)


def _take_out(run: Run, version: str, gone: Path) -> None:
    """Take the old release's folder out of those that count, the pointer first."""
    tree, was_current = run.tree, run.tree.current_version() == version
    if was_current:
        run.disk.remove(tree.pointer)
        run.disk.sync_dir(tree.path)
    try:
        run.disk.replace(tree.release(version), gone)
    except OSError:
        if was_current:
            run.disk.write_file(tree.pointer, f"v{version}".encode())
        raise
    run.disk.sync_dir(tree.releases)


def lacking_after(run: Run, building: Building) -> list[Want]:
    """Bring every block that the file holds to its place; what is lacking then, as wants.

    Raises OSError, UpdateCancelled. Cost: one read of the file to find what is in place, one of
    what moves; a block of memory.
    """
    if host.stat_facts(building.path).links > 1:
        # Somebody gave it another name since it was planned: that one keeps what it shows.
        building.abandon(damaged=False)
        return []
    # A file of a release may be read-only, and one that stays so counts as durable.
    run.disk.set_writable(building.path, True)
    _move_blocks(run, building)
    wants = list(wants_of(building))
    for segment in building.entry.segments:
        if isinstance(segment.step, Copy):
            lacking = [
                number for number in range(segment.first, segment.end) if not building.has(number)
            ]
            wants += [
                Want(building, each) for number in lacking for each in building.plain(number, 1)
            ]
    return wants


def _move_blocks(run: Run, building: Building) -> None:
    with building.path.open("rb", buffering=0) as reader:
        building.begin_with_file()
        places = list(_places(building))
        for place in places:
            run.stop.check()
            if _holds(reader, place.offset, place):
                building.settle(place.number, 1)
        moves = [move for move in _moves(building) if not building.has(move.block)]
        for move in order_moves(moves).moves:
            run.stop.check()
            data = _read(reader, move.source, move.length)
            if hashlib.sha256(data).digest() == building.map.digest(move.block):
                building.write(move.target, data)
                building.settle(move.block, 1)


def _places(building: Building) -> Iterator[_Place]:
    for number, block in enumerate(building.map.blocks()):
        yield _Place(number, block.offset, block.length, block.digest)


def _holds(reader: BinaryIO, offset: int, place: _Place) -> bool:
    data = _read(reader, offset, place.length)
    return hashlib.sha256(data).digest() == place.digest


def _moves(building: Building) -> Iterator[Move]:
    """Blocks that the file holds somewhere else than they must stand, by its plan."""
    entry, offsets = building.entry, building.offsets
    for segment in entry.segments:
        if isinstance(segment.step, Copy):
            shift = segment.step.offset - offsets[segment.first]
            for number in range(segment.first, segment.end):
                target = offsets[number]
                if shift:
                    yield Move(target + shift, target, offsets[number + 1] - target, number)


def _read(reader: BinaryIO, offset: int, length: int) -> bytes:
    reader.seek(offset, os.SEEK_SET)
    return read_full(reader, length)
