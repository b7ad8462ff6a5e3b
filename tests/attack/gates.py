"""The gates through which a path comes into a release or onto a machine; each must refuse alike."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest

from bitstation.core.manifest import parse_manifest
from bitstation.core.relpath import path_fault
from bitstation.errors import ManifestError, ToolFolderInvalid
from bitstation.testing.invariants import look_at
from tests.attack.machine import NEW, Machine, folder_of, package_of, source_of, with_rows
from tests.engine.publisher_tools import pack, tool_document, write_tool
from tests.integration.hq_requests import SESSIONS, Caller

MAX_NAME_BYTES = 255


class Gate(ABC):
    """Where a release with some further paths is refused, for a reason with those words in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))

    @abstractmethod
    def refuses(self, *paths: str, words: str) -> None: ...


class Installed(Gate):
    """The worker, whoever offers the release; the switch for legacy ones opens nothing here."""

    def __init__(self, folder: Path, *, legacy: bool) -> None:
        super().__init__(folder)
        self.takes_legacy = legacy
        self._machine = Machine(folder / "machine")
        self._machine.updater = self._machine.updater_with(legacy=legacy)

    def refuses(self, *paths: str, words: str) -> None:
        manifest = json.dumps(with_rows(*paths)).encode()
        files = NEW.files | {path: NEW.files["main.py"] for path in paths if not path_fault(path)}
        for source in (
            source_of(manifest),
            folder_of(self._new_folder(), manifest),
            package_of(self._new_folder() / "tool.zip", manifest, files),
        ):
            self._machine.refuses_update(source, ManifestError, words)

    def takes_apart(self, path: str) -> None:
        """The file is the release's own, below its folder: what the user has there is another."""
        manifest = json.dumps(with_rows(path)).encode()
        target = parse_manifest(manifest, any_scope=True)
        release = self._machine.heals(source_of(manifest), target)
        assert (release / path).is_file()


class Published(Gate):
    """The publisher: a tool folder that holds such a file, where one can, or asks for it."""

    def refuses(self, *paths: str, words: str) -> None:
        if all(map(_may_exist, paths)):
            self._refuses_files(paths, words)
        self._refuses_locked(paths, words)
        if len(paths) == 1:
            self._refuses_named(*paths, words)

    def leaves_out(self, path: str) -> None:
        """A folder may hold the file, and no release holds it; nor may it be asked for."""
        tool = write_tool(self._new_folder(), {"runner/run.ps1": b"", path: b"mine"})
        (release,) = pack(self.folder / "packed", tool)
        assert path not in [entry.path for entry in release.plan.manifest.entries]
        self._refuses_locked((path,), "scope")
        self._refuses_named(path, "is not in the release")

    def _refuses_files(self, paths: tuple[str, ...], words: str) -> None:
        tool = write_tool(self._new_folder())
        for path in paths:
            (tool / path).parent.mkdir(parents=True, exist_ok=True)
            (tool / path).write_bytes(path.encode("utf-8", "surrogateescape"))
        self._refuses(tool, words)

    def _refuses_locked(self, paths: tuple[str, ...], words: str) -> None:
        """As models that the folder names and ``models fetch`` would bring."""
        model = {"sha256": "0" * 64, "size": 1, "url": "https://example.org/m"}
        lock = json.dumps([{"path": path, **model} for path in paths])
        tool = write_tool(self._new_folder(), {"main.py": b"", "models.lock.json": lock.encode()})
        self._refuses(tool, words)

    def _refuses_named(self, path: str, words: str) -> None:
        """As files that tool.json wants to have run."""
        for fields in ({"entrypoint_posix": path}, {"flash_gpu_config": {"warmup_script": path}}):
            tool = write_tool(self._new_folder())
            # Escaped, as what is no Unicode can only be.
            (tool / "tool.json").write_text(json.dumps(tool_document(**fields)))
            self._refuses(tool, words)

    def _refuses(self, tool: Path, words: str) -> None:
        before, out = look_at(tool), self.folder / "dist"
        with pytest.raises(ToolFolderInvalid) as caught:
            pack(out, tool)
        assert words in str(caught.value), str(caught.value)
        assert str(caught.value).isprintable()
        assert look_at(tool) == before
        assert not out.exists()


class Uploaded(Gate):
    """HQ, to which a publisher without our checks sends a manifest."""

    def __init__(self, folder: Path, caller: Caller) -> None:
        super().__init__(folder)
        self._caller = caller

    def refuses(self, *paths: str, words: str) -> None:
        document = with_rows(*paths)
        body = json.dumps(document).encode()
        reply = self._caller.authorized("POST", SESSIONS, body)
        assert reply.status == 422, reply
        assert reply.code == "manifest-invalid"
        assert words in reply.json["detail"]
        release = f"/api/v1/tools/{document['tool_id']}/{document['tool_version']}/manifest.json"
        assert self._caller.get(release).status == 404


def _may_exist(path: str) -> bool:
    """Say whether a file below a folder can have this path here, as it is written."""
    if sys.platform == "win32":
        return False
    try:
        names = os.fsencode(path).split(b"/")
    except UnicodeEncodeError:
        return False
    # Deeper or longer ones this very test could not make.
    if "\0" in path or len(path) > 2000 or len(names) > 200:
        return False
    return all(name not in (b"", b".", b"..") and len(name) <= MAX_NAME_BYTES for name in names)


def gate_named(name: str, folder: Path, request: Any) -> Gate:
    """The gate of a name in GATES."""
    if name == "publish":
        return Published(folder)
    if name == "HQ":
        return Uploaded(folder, request.getfixturevalue("hq"))
    return Installed(folder, legacy=name == "install --legacy")


GATES = ("install", "install --legacy", "publish", "HQ")
