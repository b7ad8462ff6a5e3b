"""A machine under attack: a release in place, and everything that must be as it was afterwards."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bitstation import BitStationError, DeltaUpdater, Eligibility
from bitstation.core.manifest import Manifest
from bitstation.storage.tree import CONTROL_NAME
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import PROTECTED, Invariants, Seen, check_settled, look_at
from bitstation.testing.lies.manifests import Document, document_with, rehashed
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.transport.source import Source
from bitstation.worker.run import Options

AnySource = Source | Path

FILES = {"main.py": b"print()\n", "lib/x.py": b"x = 1\n", "lib/deep/y.py": b"y = 1\n"}
OLD = make_release(FILES, "1.0.0")
NEW = make_release(FILES | {"main.py": b"print(2)\n", "lib/x.py": b"x = 2\n"}, "1.1.0")


class Machine:
    """A tools root with the earlier release, deep in a folder of which every file is known.

    What climbs out of a release, out of the tool or out of the root still lands where it is seen.
    """

    def __init__(
        self, folder: Path, release: Release = OLD, source: MemorySource | None = None
    ) -> None:
        self.folder = folder
        self.release = release
        self.root = folder / "disk" / "tools"
        self.outside = folder / "outside"
        self.updater = self.updater_with()
        self.tree = self.updater.tree
        for path in (self.outside / "theirs.txt", *(self.tree.path / each for each in PROTECTED)):
            file = path if path.suffix else path / "mine.txt"
            file.parent.mkdir(parents=True)
            file.write_bytes(b"not of a release")
        self.updater.update(source or MemorySource(release))

    def updater_with(self, **options: Any) -> DeltaUpdater:
        """Updater of the tool with other options."""
        return DeltaUpdater(
            self.root / TOOL_ID, disk=QuickDisk(), options=Options(allow_unsigned=True, **options)
        )

    def refuses(
        self,
        act: Callable[[], object],
        kind: type[BitStationError] | tuple[type[BitStationError], ...],
        *words: str,
        exit_code: int = 30,
        goes_on: bool = False,
    ) -> BitStationError:
        """The error that an act ends with: it says the words, and nothing has changed anywhere.

        ``goes_on``: what was fetched may stay in staging for the next run.
        """
        before, invariants = self._seen(goes_on), Invariants(self.root, self.outside)
        with pytest.raises(kind) as caught:
            act()
        error = caught.value
        assert error.exit_code == exit_code, repr(error)
        assert all(word in str(error) for word in words), str(error)
        assert str(error).isprintable()
        assert len(str(error)) < 10_000
        invariants.check(TOOL_ID, self.release.manifest)
        assert self._seen(goes_on) == before
        if not goes_on:
            check_settled(self.tree)
        required = (self.release.version, self.release.manifest.manifest_hash)
        assert self.updater.get_network_eligibility(*required) == Eligibility.ELIGIBLE
        return error

    def refuses_update(
        self, source: AnySource, kind: Any, *words: str, **options: Any
    ) -> BitStationError:
        """The same of an update to whatever release a source offers."""
        return self.refuses(lambda: self.updater.update(source), kind, *words, **options)

    def heals(self, source: AnySource, target: Manifest = NEW.manifest) -> Path:
        """Folder of the release once an update has succeeded: whole, and nothing is left over."""
        invariants = Invariants(self.root, self.outside)
        assert self.updater.update(source, target.tool_version).activated
        invariants.check(TOOL_ID, target)
        check_settled(self.tree)
        assert self.updater.verify(deep=True).damaged == ()
        return self.tree.release(target.tool_version)

    def _seen(self, goes_on: bool) -> Seen:
        """All below the folder but what runs keep for themselves."""
        hidden = {CONTROL_NAME, self.tree.staging_area.name} if goes_on else {CONTROL_NAME}
        found = look_at(self.folder).items()
        return {path: facts for path, facts in found if not hidden & set(Path(path).parts)}


def document_of(release: Release = NEW, **fields: Any) -> Document:
    """Its manifest with other fields; one set to None is left out. The hash is no longer true."""
    return document_with(release, **fields)


def with_rows(*paths: Any, release: Release = NEW, **fields: Any) -> Document:
    """Its manifest with further rows: paths, whose content is that of main.py, or whole rows."""
    main = next(row for row in release.manifest.document["files"] if row["path"] == "main.py")  # type: ignore[union-attr,index,call-overload]
    rows = [path if isinstance(path, dict) else {**main, "path": path} for path in paths]
    return rehashed(document_of(release, files=[*release.manifest.document["files"], *rows]))  # type: ignore[misc]


def source_of(manifest: bytes, release: Release = NEW) -> MemorySource:
    """A source that offers these bytes as the manifest of a release whose files it holds."""
    source = MemorySource(release)
    source.offer_bytes(TOOL_ID, release.version, manifest)
    return source


def folder_of(folder: Path, manifest: bytes, release: Release = NEW) -> Path:
    """A folder of the release with these bytes as its manifest."""
    release.write(folder)
    (folder / "manifest.json").write_bytes(manifest)
    return folder


def package_of(path: Path, manifest: bytes, files: Mapping[str, bytes] = NEW.files) -> Path:
    """A package of files with these bytes as its manifest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", manifest)
        for name, data in files.items():
            archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    return path
