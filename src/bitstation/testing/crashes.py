"""Crash states by the thousand: ``python -m bitstation.testing.crashes --states 10000 --seed 1``.

A scene is recorded, at times with kills and reruns within, and the disks that a crash may leave of
it are laid down and held to all invariants: as they are, after the same command was given again
(which must succeed, I6), and after an update to the goal. Ends with exit code 1 at the first that
does not hold, and says how to see it again: ``--first N --states 1`` looks at state N alone,
``--scene NAME`` keeps to one scene, ``--json FILE`` takes the counts down.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.core.lifecycle import Step
from bitstation.core.plan import parse_plan
from bitstation.errors import StoreCorrupt
from bitstation.storage.journal import read_journal
from bitstation.storage.ledger import Ledger
from bitstation.storage.tree import ToolTree
from bitstation.testing.faulty_disk import Stopped
from bitstation.testing.invariants import check_settled
from bitstation.testing.memory_source import Asked
from bitstation.testing.power_loss import MODELS, Survivors, survivors
from bitstation.testing.recording_disk import Record, RecordingDisk
from bitstation.testing.scenes import ALL_SCENES, Scene
from bitstation.testing.stage import Stage

STATES_OF_A_RECORD = 20
_MEMORY = Path("/dev/shm")
_MOST_CALLS = 110
"""About as many calls as a scene has: a run that is to be killed later ends by itself."""


def record(stage: Stage, kills: Sequence[int] = ()) -> Record:
    """Play a scene to its end; runs before the last are killed after so many calls each."""
    disk = RecordingDisk(stage.folder, stage.ledger, is_busy=stage.scene.is_busy)
    try:
        act = stage.act
        for calls in kills:
            disk.stop_after = len(disk.record.calls) + calls
            try:
                act(disk)
            except Stopped:
                pass
            act = stage.act_again
        disk.stop_after = None
        act(disk)
    finally:
        disk.close()
    return disk.record


def lay_down(stage: Stage, left: Survivors) -> None:
    """Put a disk that a crash left in place of what the stage holds."""
    stage.clear()
    placed = left.tree.write(stage.folder)
    for control in stage.root.glob("*/.bitstation"):
        (control / "lock").write_bytes(b"process 1 since long ago")
    if left.proofs is None:
        return
    ledger = Ledger(stage.ledger)
    try:
        files = [
            (placed[number], digest) for number, digest in left.proofs.items() if number in placed
        ]
        ledger.record((host.stat_facts(path), digest) for path, digest in files)
    finally:
        ledger.close()


def judge(stage: Stage) -> None:
    """Hold what lies on the stage to all invariants, before and after the rerun.

    Raises AssertionError, BitStationError.
    """
    if not stage.scene.is_damaged:
        stage.check()
        stage.check_kept()
    here = already_here(stage)
    stage.source.asked.clear()
    stage.act_again()
    stage.check()
    again = [asked for asked in stage.source.asked if any(_overlap(asked, each) for each in here)]
    assert not again, f"I6: verified before the crash and fetched again: {again}"
    stage.reach_goal()
    check_settled(stage.updater().tree)


def already_here(stage: Stage) -> list[Asked]:
    """Spans of content that were verified before the crash, as the journal that is left says.

    Only what really lies in staging counts; once the journal says that all of it was durable, that
    is the whole release, wherever it lies.
    """
    tree, goal = stage.updater().tree, stage.scene.goal.manifest
    journal = read_journal(tree.journal)
    if journal.begin is None or journal.begin.manifest_hash != goal.manifest_hash:
        return []
    if journal.step in (Step.ACTIVATING, Step.COLLECTING):
        return [Asked(entry.sha256, 0, entry.size) for entry in goal.entries]
    try:
        plan = parse_plan(tree.plan.read_bytes(), "plan")
    except (OSError, StoreCorrupt):
        return []
    spans = []
    for index in journal.done | journal.blocks.keys():
        entry = plan.entries[index]
        data = _read(tree, plan.to_version, entry.path)
        if index in journal.done:
            if hashlib.sha256(data).hexdigest() == entry.sha256:
                spans.append(Asked(entry.sha256, 0, entry.size_bytes))
        elif len(data) == entry.size_bytes:
            blocks = list(entry.blockmap.blocks())
            claimed = (blocks[number] for run in journal.blocks[index] for number in run)
            spans += [
                Asked(Digest(entry.sha256), block.offset, block.length)
                for block in claimed
                if _is_right(data[block.offset : block.offset + block.length], block.digest)
            ]
    return spans


def _read(tree: ToolTree, version: str, path: str) -> bytes:
    try:
        return (tree.staging(version) / path).read_bytes()
    except OSError:
        return b""


def _is_right(data: bytes, digest: bytes) -> bool:
    return hashlib.sha256(data).digest() == digest


def _overlap(asked: Asked, here: Asked) -> bool:
    if asked.digest != here.digest or not here.length:
        return False
    if asked.length is None:
        return asked.offset < here.offset + here.length
    return asked.offset < here.offset + here.length and here.offset < asked.offset + asked.length


# --- by the thousand ----------------------------------------------------------------------------


class Campaign:
    """Random states of one seed: number ``n`` is the same whichever others are looked at."""

    def __init__(self, seed: int, scenes: Sequence[Scene]) -> None:
        self.seed = seed
        self.scenes = scenes
        self.counts: Counter[str] = Counter()
        self.models: Counter[str] = Counter()

    def run(self, numbers: Sequence[int]) -> None:
        """Hold these states to the invariants. Raises what the first that fails raises."""
        for batch in sorted({number // STATES_OF_A_RECORD for number in numbers}):
            wanted = [number for number in numbers if number // STATES_OF_A_RECORD == batch]
            self._run_batch(batch, wanted)

    def _run_batch(self, batch: int, numbers: Sequence[int]) -> None:
        random = Random(f"{self.seed} record {batch}")
        scene = random.choice(self.scenes)
        kills = [random.randint(1, _MOST_CALLS) for _ in range(random.choice([0, 0, 1, 1, 2]))]
        with quick_folder() as folder, _explained(f"{scene.name}, killed after {kills}"):
            stage = Stage(folder, scene)
            made = record(stage, kills)
            for number in numbers:
                self._run_one(stage, made, number)

    def _run_one(self, stage: Stage, made: Record, number: int) -> None:
        random = Random(f"{self.seed} state {number}")
        model = random.choice("abcd")
        loss = MODELS[model](random)
        end = random.randint(0, len(made.changes))
        with _explained(f"state {number} of seed {self.seed}: {tell(made, end)}, {loss}"):
            lay_down(stage, survivors(made, end, loss, random))
            judge(stage)
        self.counts[stage.scene.name] += 1
        self.models[model] += 1


def tell(made: Record, end: int) -> str:
    """Where in a record a crash is, in words."""
    number = sum(1 for call in made.calls if call.changes_before < end)
    call = made.calls[number - 1] if number else None
    return f"after change {end} (call {number}: {call.name} {call.paths})" if call else "at first"


@contextmanager
def quick_folder() -> Iterator[Path]:
    """An empty folder, in memory where the system has such a place."""
    where = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix="bitstation-") as folder:
        yield Path(folder)


@contextmanager
def _explained(note: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(note)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when every state held, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bitstation.testing.crashes")
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--scene", choices=[*ALL_SCENES])
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    scenes = [ALL_SCENES[given.scene]] if given.scene else [*ALL_SCENES.values()]
    campaign, began, violation = Campaign(given.seed, scenes), time.monotonic(), None
    try:
        campaign.run(range(given.first, given.first + given.states))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the first violation
        notes = "\n  ".join(getattr(error, "__notes__", ()))
        violation = f"{type(error).__name__}: {error}\n  {notes}"
        sys.stdout.write(f"VIOLATION\n{violation}\n")
    finally:
        for scene, count in sorted(campaign.counts.items()):
            sys.stdout.write(f"{count:8} {scene}\n")
        for model, count in sorted(campaign.models.items()):
            sys.stdout.write(f"{count:8} model {model}\n")
        seconds = time.monotonic() - began
        total = sum(campaign.models.values())
        sys.stdout.write(f"{total:8} states held, seed {given.seed}, {seconds:.0f} s\n")
        sys.stdout.flush()
    if given.json:
        whole = {
            "seed": given.seed,
            "first": given.first,
            "states": given.states,
            "held": total,
            "models": dict(sorted(campaign.models.items())),
            "scenes": dict(sorted(campaign.counts.items())),
            "violation": violation,
        }
        given.json.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    return 1 if violation else 0


if __name__ == "__main__":
    raise SystemExit(main())
