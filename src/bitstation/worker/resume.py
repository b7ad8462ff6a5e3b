"""What an interrupted run left in staging, believed only after reading it.

The journal is not synced at each record, so it says where to look and not what is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

from bitstation import host
from bitstation.core.plan import How, Plan, PlanEntry, parse_plan
from bitstation.errors import StoreCorrupt
from bitstation.storage.hashing import read_full
from bitstation.storage.journal import JournalFacts, read_journal
from bitstation.storage.tree import PlainPaths, ToolTree
from bitstation.worker.assemble import Kept
from bitstation.worker.discard import keep_only
from bitstation.worker.inventory import prove
from bitstation.worker.run import Run


def find_kept(run: Run, plan: Plan, staging: Path) -> Kept:
    """Files that are whole, and of those being built the blocks that are right.

    What staging holds beside them is removed. Cost: one read of what the journal names.
    """
    facts = read_journal(run.tree.journal)
    plain = PlainPaths(staging)
    entries = {index: entry for index, entry in enumerate(plan.entries) if entry.path in plain}
    whole = _whole(run, facts.done & entries.keys(), entries, staging)
    begun = [
        index
        for index in sorted({*facts.blocks, *facts.parts} & entries.keys() - whole.keys())
        if entries[index].how is How.BUILD and _is_as_long(staging, entries[index])
    ]
    blocks = {
        index: _right_blocks(run, staging, entries[index], facts.blocks.get(index, ()))
        for index in begun
    }
    parts = {index: _parts(entries[index], index, facts, blocks[index]) for index in begun}
    reworked = {index for index, entry in entries.items() if entry.how is How.REWORK}
    keep_only(run, staging, {plan.entries[index].path for index in {*whole, *begun, *reworked}})
    return Kept(whole, blocks, parts)


def is_given_up(tree: ToolTree) -> bool:
    """Say whether the installed release was given up for one that is being remade in place."""
    if tree.current_version() is not None or read_journal(tree.journal).begin is None:
        return False
    try:
        plan = parse_plan(tree.plan.read_bytes(), str(tree.plan))
    except (OSError, StoreCorrupt):
        return False
    return plan.given_up is not None and tree.is_staged(plan.to_version)


def _whole(
    run: Run, done: Iterable[int], entries: dict[int, PlanEntry], staging: Path
) -> dict[int, host.StatFacts]:
    numbers = sorted(done)
    proofs = prove(run, [staging / entries[index].path for index in numbers])
    return {
        index: proof.facts
        for index, proof in zip(numbers, proofs, strict=True)
        if proof.facts is not None and proof.digest == entries[index].sha256
    }


def _is_as_long(staging: Path, entry: PlanEntry) -> bool:
    """Say whether a plain file of the whole length is there, as preallocation makes it."""
    try:
        facts = host.stat_facts(staging / entry.path)
    except OSError:
        return False
    return facts.is_file and facts.size == entry.size_bytes and facts.links == 1


def _right_blocks(run: Run, staging: Path, entry: PlanEntry, claimed: Iterable[range]) -> set[int]:
    """Those of the claimed blocks that hold what the map says; hashed on all cores."""
    blocks = list(entry.blockmap.blocks())
    is_claimed = bytearray(len(blocks))
    for each in claimed:
        end = min(each.stop, len(blocks))
        is_claimed[each.start : end] = b"\1" * max(0, end - each.start)
    numbers = [number for number, flag in enumerate(is_claimed) if flag]
    pool, right = host.shared_pool(), set()
    with (staging / entry.path).open("rb", buffering=0) as file:
        batch: list[tuple[int, Future[bool]]] = []
        for number in numbers:
            run.stop.check()
            block = blocks[number]
            file.seek(block.offset)
            batch.append(
                (number, pool.submit(_is_right, read_full(file, block.length), block.digest))
            )
            if len(batch) >= 8:
                right |= {each for each, future in batch if future.result()}
                batch = []
        right |= {each for each, future in batch if future.result()}
    return right


def _is_right(data: bytes, digest: bytes) -> bool:
    return hashlib.sha256(data).digest() == digest


def _parts(entry: PlanEntry, index: int, facts: JournalFacts, right: set[int]) -> dict[int, int]:
    """Parts of blocks that may be there: they are proved with the rest of their block."""
    lengths = entry.blockmap.lengths
    return {
        block: min(length, lengths[block] - 1)
        for block, length in facts.parts.get(index, {}).items()
        if block < len(lengths) and block not in right and length > 0
    }
