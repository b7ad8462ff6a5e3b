"""A disk that does every call and remembers it, so that losses of power can be acted out later."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

import msgspec

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.testing.disk_tree import Kind, Node, Tree
from bitstation.testing.faulty_disk import COUNTED, QuickDisk, Stopped


class Named(msgspec.Struct, frozen=True):
    """Something got a name in a folder: it was created, or is a file that has others."""

    folder: int
    name: str
    node: int


class Renamed(msgspec.Struct, frozen=True):
    """A name moved, over whatever had the new one."""

    folder: int
    name: str
    to_folder: int
    to_name: str
    node: int


class Unnamed(msgspec.Struct, frozen=True):
    """A name was removed."""

    folder: int
    name: str
    node: int


class Written(msgspec.Struct, frozen=True):
    """Bytes of a file were written."""

    node: int
    offset: int
    data: bytes


class Resized(msgspec.Struct, frozen=True):
    """A file was made so long."""

    node: int
    size_bytes: int


class Marked(msgspec.Struct, frozen=True):
    """A file got this mode and time of its last write; None leaves the time to the write."""

    node: int
    mode: int
    mtime_ns: int | None


class FileSynced(msgspec.Struct, frozen=True):
    """The content and the marks of a file are durable; not its names."""

    node: int


class FolderSynced(msgspec.Struct, frozen=True):
    """The names in a folder are durable; not that of the folder itself."""

    folder: int


NameChange = Named | Renamed | Unnamed
FileChange = Written | Resized | Marked
Change = NameChange | FileChange | FileSynced | FolderSynced


class Call(msgspec.Struct, frozen=True):
    """One call of ``Disk``: its name, its paths or the file's, and the changes before it."""

    name: str
    paths: tuple[str, ...]
    changes_before: int


class Proofs(msgspec.Struct, frozen=True):
    """What the ledger proved when so many changes had been made: digests by number of the file."""

    changes_before: int
    digests: dict[int, Digest]


class Record(msgspec.Struct):
    """The start, durable, and all that was done from there on, by one or several runs."""

    start: Tree
    nodes: dict[int, Kind]
    calls: list[Call] = []
    changes: list[Change] = []
    proofs: list[Proofs] = []

    def end_of(self, call: int) -> int:
        """How many changes had been made after so many calls."""
        return self.calls[call].changes_before if call < len(self.calls) else len(self.changes)


class RecordingDisk(QuickDisk):
    """Does and records every call below ``folder``; ``ledger`` is watched for what it proves.

    ``stop_after`` n: call n is done, then this and every later one raises ``Stopped``. A later run
    may go on with the same record once it is None again. With ``is_busy`` folders cannot be
    renamed, as on Windows while a program looks into them.
    """

    def __init__(self, folder: Path, ledger: Path, *, is_busy: bool = False) -> None:
        self._folder = host.native_path(folder.absolute())
        self._live = Tree.of(self._folder)
        kinds = {number: node.kind for number, node in self._live.nodes.items()}
        self.record = Record(self._live.copy(), kinds)
        self.stop_after: int | None = None
        self._is_busy = is_busy
        self._opened: dict[int, int] = {}
        self._paths: dict[int, str] = {}
        self._lock = threading.RLock()
        self._watched = sqlite3.connect(ledger, isolation_level=None, check_same_thread=False)
        self._seen = -1
        self._watch()

    def close(self) -> None:
        """See the last of the ledger, and let it go."""
        with contextlib.closing(self._watched):
            self._watch()

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with self._lock:
            record = self.record
            if self.stop_after is not None and len(record.calls) >= self.stop_after:
                raise Stopped(name)
            self._watch()
            record.calls.append(Call(name, self._named(args), len(record.changes)))
            if self._is_busy and name == "replace" and args[0].is_dir():
                raise PermissionError(13, "in use")
            done = real(self, *args, **options)
            for change in getattr(self, f"_after_{name}")(done, *args):
                self._apply(change)
                record.changes.append(change)
            if name.startswith("open"):
                self._remember(done, args[0])
            if self.stop_after == len(record.calls):
                if name.startswith("open"):
                    done.close()
                raise Stopped(name)
            return done

    # --- what a call did ------------------------------------------------------------------------

    def _after_make_dir(self, _done: object, path: Path) -> Iterator[Change]:
        parts = self._parts(path)
        for count in range(1, len(parts) + 1):
            if self._live.find(parts[:count]) is None:
                yield self._created(parts[:count], Kind.FOLDER)

    def _after_make_private(self, _done: object, path: Path) -> Iterator[Change]:
        if self.record.nodes[self._at(path)] is Kind.FILE:
            yield self._marked(self._at(path), path)

    # Rights of folders are not recorded: nothing of what is left rests on them.
    _after_shut_out = _after_make_private

    def _after_open_new(self, file: Any, path: Path) -> Iterator[Change]:
        # A file that had the name was removed first, whatever it was.
        yield from self._after_remove(None, path)
        yield (created := self._created(self._parts(path), Kind.FILE))
        yield self._marked(created.node, path)

    def _after_open_within(self, _file: Any, _path: Path) -> Iterator[Change]:
        return iter(())

    def _after_open_append(self, file: Any, path: Path) -> Iterator[Change]:
        if self._live.find(self._parts(path)) is None:
            yield from self._after_open_new(file, path)

    def _after_write(self, _done: object, file: Any, data: Any) -> Iterator[Change]:
        if len(data):
            yield Written(self._open_node(file), file.tell() - len(data), bytes(data))

    def _after_write_at(self, _done: object, file: Any, at: int, data: Any) -> Iterator[Change]:
        yield Written(self._open_node(file), at, bytes(data))

    def _after_truncate(self, _done: object, file: Any, _size: int) -> Iterator[Change]:
        yield Resized(self._open_node(file), host.stat_facts(file.fileno()).size)

    _after_preallocate = _after_truncate

    def _after_clone(self, done: bool, source: Any, target: Any) -> Iterator[Change]:
        if done:
            yield Written(self._open_node(target), 0, Path(source.name).read_bytes())

    def _after_set_executable(self, _done: object, file: Any) -> Iterator[Change]:
        node = self._open_node(file)
        yield self._marked(node, self._folder / self._paths[node])

    def _after_set_writable(self, _done: object, path: Path, _on: bool) -> Iterator[Change]:
        yield self._marked(self._at(path), path)

    def _after_copy_stamps(self, _done: object, _source: Path, target: Path) -> Iterator[Change]:
        yield self._marked(self._at(target), target, is_timed=True)

    def _after_sync_file(self, _done: object, file: Any) -> Iterator[Change]:
        yield FileSynced(self._open_node(file))

    def _after_sync_path(self, _done: object, path: Path) -> Iterator[Change]:
        yield FileSynced(self._at(path))

    def _after_sync_dir(self, _done: object, path: Path) -> Iterator[Change]:
        yield FolderSynced(self._at(path))

    def _after_replace(self, _done: object, source: Path, target: Path) -> Iterator[Change]:
        *above, name = self._parts(source)
        *to_above, to_name = self._parts(target)
        folder, to_folder = self._live.find(tuple(above)), self._live.find(tuple(to_above))
        assert folder is not None
        assert to_folder is not None
        yield Renamed(folder, name, to_folder, to_name, self._at(source))

    def _after_link(self, _done: object, source: Path, target: Path) -> Iterator[Change]:
        *above, name = self._parts(target)
        folder = self._live.find(tuple(above))
        assert folder is not None
        yield Named(folder, name, self._at(source))

    def _after_symlink(self, _done: object, target: Path, text: str) -> Iterator[Change]:
        yield (created := self._created(self._parts(target), Kind.LINK))
        self.record.start.nodes[created.node] = Node(Kind.LINK, text.encode())

    def _after_remove(
        self, _done: object, path: Path, *, below: Path | None = None
    ) -> Iterator[Change]:
        *above, name = self._parts(path)
        folder = self._live.find(tuple(above))
        number = self._live.nodes[folder].names.get(name) if folder is not None else None
        if folder is not None and number is not None:
            yield Unnamed(folder, name, number)

    _after_remove_dir = _after_remove

    def _created(self, parts: tuple[str, ...], kind: Kind) -> Named:
        folder = self._live.find(parts[:-1])
        assert folder is not None
        number = len(self.record.nodes)
        self.record.nodes[number] = kind
        self._live.nodes[number] = Node(kind)
        return Named(folder, parts[-1], number)

    def _marked(self, number: int, path: Path, *, is_timed: bool = False) -> Marked:
        facts = path.lstat()
        mtime_ns = facts.st_mtime_ns if is_timed else None
        return Marked(number, stat.S_IMODE(facts.st_mode), mtime_ns)

    def _apply(self, change: Change) -> None:
        if isinstance(change, NameChange):
            change_names(self._live, change)

    # --- where it did it ------------------------------------------------------------------------

    def _parts(self, path: Path) -> tuple[str, ...]:
        return PurePath(path).relative_to(self._folder).parts

    def _at(self, path: Path) -> int:
        number = self._live.find(self._parts(path))
        assert number is not None, path
        return number

    def _remember(self, file: Any, path: Path) -> None:
        number = self._at(path)
        self._opened[file.fileno()] = number
        self._paths[number] = "/".join(self._parts(path))

    def _open_node(self, file: Any) -> int:
        return self._opened[file.fileno()]

    def _named(self, args: tuple[Any, ...]) -> tuple[str, ...]:
        paths = ["/".join(self._parts(arg)) for arg in args if isinstance(arg, Path)]
        # Of a clone's two files the last is the one that changes.
        for arg in reversed(args):
            if not paths and hasattr(arg, "fileno"):
                paths.append(self._paths[self._open_node(arg)])
        return tuple(paths)

    # --- the ledger -----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Remember what the ledger proves, whenever it has changed."""
        version = self._watched.execute("PRAGMA data_version").fetchone()[0]
        if version == self._seen:
            return
        self._seen = version
        rows = {
            (row[0], row[1]): row[2:]
            for row in self._watched.execute(
                "SELECT volume, file_id, size, mtime_ns, change_ns, digest FROM proof"
            )
        }
        digests = {}
        for path, number in self._live.paths():
            if self._live.nodes[number].kind is not Kind.FILE:
                continue
            facts = host.stat_facts(self._folder / path)
            volume = facts.volume - 2**64 if facts.volume >= 2**63 else facts.volume
            row = rows.get((volume, str(facts.file_id)))
            if row and row[:3] == (facts.size, facts.mtime_ns, facts.change_ns):
                digests[number] = Digest(row[3])
        self.record.proofs.append(Proofs(len(self.record.changes), digests))


def change_names(tree: Tree, change: NameChange) -> None:
    """Do to a tree what was done to names."""
    names = tree.nodes[change.folder].names
    if isinstance(change, Named):
        names[change.name] = change.node
        return
    names.pop(change.name, None)
    if isinstance(change, Renamed):
        tree.nodes[change.to_folder].names[change.to_name] = change.node


def _recorded(name: str) -> Callable[..., Any]:
    real = getattr(QuickDisk, name)

    @functools.wraps(real)
    def call(disk: RecordingDisk, *args: Any, **options: Any) -> Any:
        return disk._call(name, real, *args, **options)

    return call


for _name in COUNTED:
    setattr(RecordingDisk, _name, _recorded(_name))
