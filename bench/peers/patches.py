"""A patch for each changed file, made by the publisher, applied by the worker."""

from __future__ import annotations

import math
from pathlib import Path

import timing
from corpus import Pair

from peers.peer import SMALL_BYTES, Peer, Script, gone, likeness


class Patches(Peer):
    """By path, by the most alike name where there is none; new files whole by zstd -3."""

    needs: tuple[str, ...] = ("zstd", "curl")

    def make(self, script: Script, old: Path, new: Path, patch: Path) -> None:
        """Add the making of a patch."""
        raise NotImplementedError

    def apply(self, script: Script, old: str, patch: Path, new: str) -> None:
        """Add its application."""
        raise NotImplementedError

    def prepare(self, pair: Pair, shelf: Path) -> timing.Measured:
        """One patch after the other."""
        script = Script()
        for number, path in enumerate(pair.changed):
            base = self._base(pair, path)
            if base:
                self.make(script, pair.old / base, pair.new / path, shelf / str(number))
            else:
                script.add("zstd", "-3", "-q", "-f", pair.new / path, "-o", shelf / str(number))
        lines = [f"{number} {path}" for number, path in enumerate(pair.changed)]
        lines += [f"gone {path}" for path in gone(pair)]
        (shelf / "changes").write_text("\n".join(lines) + "\n", "utf-8")
        return script.run(shelf.with_name("publish.sh"), shelf)

    def update(self, pair: Pair, shelf: Path, worker: Path, port: int) -> timing.Measured:
        """All patches over one connection, then one after the other is applied."""
        url, got, script = f"http://127.0.0.1:{port}", shelf.with_name("got"), Script()
        got.mkdir(exist_ok=True)
        last = max(len(pair.changed) - 1, 0)
        script.add("curl", "-sSf", "-o", got / "changes", f"{url}/changes")
        if pair.changed:
            script.add("curl", "-sSf", "-o", f"{got}/#1", f"{url}/[0-{last}]")
        for number, path in enumerate(pair.changed):
            base = self._base(pair, path)
            (worker / path).parent.mkdir(parents=True, exist_ok=True)
            if base:
                self.apply(script, base, got / str(number), f"{path}.got")
            else:
                script.add("zstd", "-dqf", got / str(number), "-o", f"{path}.got")
            script.add("mv", "-f", f"{path}.got", path)
        for path in gone(pair):
            script.add("rm", path)
        return script.run(shelf.with_name("update.sh"), worker)

    @staticmethod
    def _base(pair: Pair, path: str) -> str | None:
        small = (pair.new / path).stat().st_size < SMALL_BYTES
        return likeness(pair, path) if path in pair.old_digests or not small else None


class ZstdPatch(Patches):
    """zstd --patch-from, its window as long as the file."""

    name = "zstd -3 --patch-from"
    figure = "zstd patch"

    def make(self, script: Script, old: Path, new: Path, patch: Path) -> None:
        """The window must hold the whole old file."""
        size = max(old.stat().st_size, new.stat().st_size, 1024)
        window = f"--long={min(31, max(10, math.ceil(math.log2(size)) + 1))}"
        script.add("zstd", "-3", "-q", "-f", window, f"--patch-from={old}", new, "-o", patch)

    def apply(self, script: Script, old: str, patch: Path, new: str) -> None:
        """Likewise."""
        script.add("zstd", "-dqf", "--long=31", f"--patch-from={old}", patch, "-o", new)


class Xdelta(Patches):
    """xdelta3, its source window as long as the file."""

    name = "xdelta3"
    figure = "xdelta3"
    needs: tuple[str, ...] = ("xdelta3", "zstd", "curl")

    def make(self, script: Script, old: Path, new: Path, patch: Path) -> None:
        """A source window of 64 MB, its default, would miss whatever moved further."""
        script.add("xdelta3", "-e", "-q", "-f", "-B", _window(old), "-s", old, new, patch)

    def apply(self, script: Script, old: str, patch: Path, new: str) -> None:
        """The old file is read through a window too."""
        script.add("xdelta3", "-d", "-q", "-f", "-s", old, patch, new)


def _window(path: Path) -> str:
    return str(max(path.stat().st_size, 1 << 20))
