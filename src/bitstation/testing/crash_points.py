"""The 32 named moments at which a machine may die, and how each is known among recorded calls."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.testing.recording_disk import Call

_TOOL = "tools/sample-tool"
_CONTROL = f"{_TOOL}/.bitstation"
_STAGING = f"{_TOOL}/releases/.staging/v*"
_POINTER = f"{_TOOL}/current.txt"
_RELEASED = f"{_TOOL}/releases/v1.?.0"
_HISTORY = f"{_CONTROL}/history.jsonl"

_UPDATE = "update that retires a release"
_BLOCKS = "update by blocks"
_ROTATION = "update under a new root"
_TRUST = "tools/.bitstation/trust.json"


class CrashPoint(NamedTuple):
    """A moment: before or after a call of ``Disk`` in a scene.

    ``path`` is a glob on the last path of the call. Of several such calls ``which`` are meant:
    each, the first, the middle or the last. ``owner``: the room that will have this moment, where
    none has it yet.
    """

    name: str
    scene: str = ""
    calls: str = ""
    path: str = ""
    is_before: bool = False
    which: str = "each"
    owner: str = ""

    @property
    def exists(self) -> bool:
        """Say whether the engine comes by this moment today."""
        return not self.owner

    def moments(self, calls: Sequence[Call]) -> list[int]:
        """After how many calls of a record the moment is, each time it comes."""
        found = [number for number, call in enumerate(calls, 1) if self.is_meant(call)]
        return [found[nth - 1] - self.is_before for nth in self.times(calls)]

    def times(self, calls: Sequence[Call]) -> range:
        """Which of the calls of a record that are meant by ``calls`` and ``path``, from 1 on."""
        count = sum(map(self.is_meant, calls))
        middle = (count + 1) // 2
        first = {"each": 1, "first": 1, "middle": middle, "last": count}[self.which]
        last = {"each": count, "first": min(1, count), "middle": middle, "last": count}[self.which]
        return range(max(1, first), last + 1)

    def is_meant(self, call: Call) -> bool:
        """Say whether this is such a call."""
        return call.name in self.calls.split() and fnmatchcase(call.paths[-1], self.path)


def _before(name: str, scene: str, calls: str, path: str, which: str = "each") -> CrashPoint:
    return CrashPoint(name, scene, calls, path, True, which)


def _after(name: str, scene: str, calls: str, path: str, which: str = "each") -> CrashPoint:
    return CrashPoint(name, scene, calls, path, False, which)


def _owned(name: str, owner: str) -> CrashPoint:
    return CrashPoint(name, owner=owner)


POINTS = {
    "c01": _before("before lock", "first install", "make_dir", _CONTROL),
    # With the lock the first thing done is to clear another release's staging.
    "c02": _before("after lock", _UPDATE, "remove", f"{_TOOL}/releases/.staging", "first"),
    "c03": _after("after plan", _UPDATE, "replace", f"{_CONTROL}/plan.json"),
    "c04": _after("block: after write", _BLOCKS, "write_at", f"{_STAGING}/*"),
    "c05": _before("block: before journal", _BLOCKS, "write", f"{_CONTROL}/journal"),
    "c06": _after("block: after journal", _BLOCKS, "write", f"{_CONTROL}/journal"),
    "c07": _after("after last block", _BLOCKS, "write_at", f"{_STAGING}/*", "last"),
    "c08": _after("after file fsync", _BLOCKS, "sync_path", f"{_STAGING}/*"),
    "c09": _before("before rename into store", _UPDATE, "replace", _RELEASED),
    "c10": _after("after rename into store", _UPDATE, "replace", _RELEASED),
    "c11": _before("before folder fsync", _UPDATE, "sync_dir", f"{_TOOL}/releases", "first"),
    "c12": _before("link farm at 0 %", "update", "link", f"{_STAGING}/*", "first"),
    "c13": _after("link farm at 50 %", "update", "link", f"{_STAGING}/*", "middle"),
    "c14": _after("link farm at 100 %", "update", "link", f"{_STAGING}/*", "last"),
    "c15": _after("release manifest written", _UPDATE, "replace", f"{_STAGING}/manifest.json"),
    "c16": _before("before pointer write", _UPDATE, "write", _POINTER + TEMPORARY_SUFFIX),
    "c17": _after("after pointer write", _UPDATE, "write", _POINTER + TEMPORARY_SUFFIX),
    "c18": _after("pointer fsync", _UPDATE, "sync_file", _POINTER + TEMPORARY_SUFFIX),
    "c19": _after("pointer rename", _UPDATE, "replace", _POINTER),
    "c20": _after("pointer folder fsync", "update", "sync_dir", _TOOL, "last"),
    "c21": _after(
        "old release retired", _UPDATE, "replace remove remove_dir", f"{_TOOL}/releases/.retired-*"
    ),
    # Collection has no list of its own: its journal is the mark.
    "c22": _after("gc mark", "collection of a release", "replace", f"{_CONTROL}/journal"),
    "c23": _after(
        "gc sweep", "collection of a release", "replace remove remove_dir", f"{_TOOL}/releases/.*"
    ),
    # Root and timestamp are kept in one file, so that they are of one moment.
    "c24": _before("metadata rotation: root", _ROTATION, "replace", _TRUST),
    "c25": _after("metadata rotation: timestamp", _ROTATION, "replace", _TRUST),
    "c26": _owned("warm-up start", "gpu"),
    "c27": _owned("warm-up end", "gpu"),
    "c28": _owned("status report", "worker (agent)"),
    "c29": _owned("self-update of the agent", "worker (agent)"),
    "c30": _before("rollback begin", "rollback", "write", _POINTER + TEMPORARY_SUFFIX),
    "c31": _after("rollback end", "rollback", "replace", _HISTORY),
    "c32": _owned("migration of the store format", "storage"),
}
"""By their numbers in the checklist."""
