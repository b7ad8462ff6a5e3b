"""zsync: a checksum file beside each changed file, ranges fetched by the worker."""

from __future__ import annotations

from pathlib import Path

import timing
from corpus import Pair

from peers.peer import SMALL_BYTES, Peer, Script, gone, likeness

_INDEX = "changes"


class Zsync(Peer):
    """Changed files with a likely base by zsync, the rest whole."""

    name = "zsync"
    figure = "zsync"
    needs: tuple[str, ...] = ("zsync", "zsyncmake", "curl")

    def prepare(self, pair: Pair, shelf: Path) -> timing.Measured:
        """Checksum files; the files themselves are there."""
        script = Script()
        for number, path in enumerate(pair.changed):
            (shelf / str(number)).hardlink_to(pair.new / path)
            if self._base(pair, path):
                words: list[str | Path] = [
                    "zsyncmake",
                    "-u",
                    str(number),
                    "-o",
                    shelf / f"{number}.zsync",
                ]
                script.add(*words, pair.new / path)
        _write_index(pair, shelf)
        return script.run(shelf.with_name("publish.sh"), shelf)

    def update(self, pair: Pair, shelf: Path, worker: Path, port: int) -> timing.Measured:
        """One zsync a file."""
        url, script = f"http://127.0.0.1:{port}", Script()
        script.add("curl", "-sSf", "-o", shelf.with_name("changes"), f"{url}/{_INDEX}")
        for number, path in enumerate(pair.changed):
            base = self._base(pair, path)
            (worker / path).parent.mkdir(parents=True, exist_ok=True)
            if base:
                words = ["zsync", "-q", "-i", base, "-o", f"{path}.got"]
                script.add(*words, f"{url}/{number}.zsync", into="/dev/null")
            else:
                script.add("curl", "-sSf", "-o", f"{path}.got", f"{url}/{number}")
            script.add("mv", "-f", f"{path}.got", path)
        for path in gone(pair):
            script.add("rm", path)
        return script.run(shelf.with_name("update.sh"), worker)

    @staticmethod
    def _base(pair: Pair, path: str) -> str | None:
        small = (pair.new / path).stat().st_size < SMALL_BYTES
        return None if small else likeness(pair, path)


def _write_index(pair: Pair, shelf: Path) -> None:
    """What a worker must be told: which files changed, from which base."""
    lines = [f"{pair.new_digests[path]}  {path}" for path in pair.changed]
    lines += [f"gone  {path}" for path in gone(pair)]
    (shelf / _INDEX).write_text("\n".join(lines) + "\n", "utf-8")
