"""Files, folders and links as values: what lay on a disk, and a way to lay it down again."""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

OUTSIDE = (
    "ledger.sqlite3",
    "ledger.sqlite3-wal",
    "ledger.sqlite3-shm",
    "clock",
    "lock",
    "trust.lock",
)
"""Names of ours that are written beside ``Disk``: the ledger's database and clock, and locks."""


class Kind(enum.Enum):
    """What a name leads to."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


class Node(msgspec.Struct):
    """A file, folder or link, whatever its names are."""

    kind: Kind
    data: bytes = b""
    """Content of a file; what a link says."""
    names: dict[str, int] = {}
    """Of a folder: numbers of what is in it."""
    mode: int | None = None
    mtime_ns: int | None = None


class Tree:
    """Everything below one folder, by number; the folder itself is number 0."""

    def __init__(self, nodes: dict[int, Node] | None = None) -> None:
        self.nodes = nodes or {0: Node(Kind.FOLDER)}

    @classmethod
    def of(cls, folder: Path) -> Tree:
        """What lies below a folder now; hard links are one node. Leaves out what is ``OUTSIDE``."""
        tree = cls()
        tree._take(folder, 0, {})
        return tree

    def _take(self, folder: Path, number: int, known: dict[tuple[int, int], int]) -> None:
        for path in sorted(folder.iterdir()):
            if path.name in OUTSIDE:
                continue
            facts = path.lstat()
            identity = (facts.st_dev, facts.st_ino)
            found = known.setdefault(identity, len(self.nodes))
            self.nodes[number].names[path.name] = found
            if found not in self.nodes:
                self.nodes[found] = _node_at(path, facts)
                if self.nodes[found].kind is Kind.FOLDER:
                    self._take(path, found, known)

    def copy(self) -> Tree:
        """An equal tree whose names can be changed."""
        return Tree(
            {
                number: msgspec.structs.replace(node, names=dict(node.names))
                for number, node in self.nodes.items()
            }
        )

    def find(self, parts: tuple[str, ...]) -> int | None:
        """Number of what lies at a path; None where nothing does."""
        number: int | None = 0
        for part in parts:
            number = self.nodes[number].names.get(part) if number is not None else None
        return number

    def paths(self) -> Iterator[tuple[str, int]]:
        """Relative path and number of everything that has a name, folders before their content."""
        pending = [("", 0)]
        while pending:
            prefix, number = pending.pop()
            for name, below in sorted(self.nodes[number].names.items()):
                yield prefix + name, below
                if self.nodes[below].kind is Kind.FOLDER:
                    pending.append((f"{prefix}{name}/", below))

    def write(self, folder: Path) -> dict[int, Path]:
        """Lay the tree down in an empty folder; one path of each file by its number."""
        placed: dict[int, Path] = {}
        folders: dict[int, Path] = {}
        for path, number in self.paths():
            node, target = self.nodes[number], folder / path
            if node.kind is Kind.FOLDER:
                target.mkdir()
                folders[number] = target
            elif node.kind is Kind.LINK:
                target.symlink_to(node.data.decode())
            elif number in placed:
                os.link(placed[number], target)
            else:
                placed[number] = target
                target.write_bytes(node.data)
        for number, target in [*placed.items(), *reversed(folders.items())]:
            _stamp(target, self.nodes[number])
        return placed


def _node_at(path: Path, facts: os.stat_result) -> Node:
    if stat.S_ISLNK(facts.st_mode):
        return Node(Kind.LINK, str(path.readlink()).encode())
    if stat.S_ISDIR(facts.st_mode):
        return Node(Kind.FOLDER, mode=stat.S_IMODE(facts.st_mode))
    mode = stat.S_IMODE(facts.st_mode)
    return Node(Kind.FILE, path.read_bytes(), mode=mode, mtime_ns=facts.st_mtime_ns)


def _stamp(path: Path, node: Node) -> None:
    if node.mtime_ns is not None:
        os.utime(path, ns=(node.mtime_ns, node.mtime_ns))
    if node.mode is not None:
        path.chmod(node.mode)


def content(tree: Tree) -> Mapping[str, tuple[Kind, bytes, int | None]]:
    """Kind, content and a file's mode by path, to hold two trees against each other."""
    found = {}
    for path, number in tree.paths():
        node = tree.nodes[number]
        found[path] = (node.kind, node.data, node.mode if node.kind is Kind.FILE else None)
    return found
