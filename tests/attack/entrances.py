"""The entrances by which a manifest comes in: from sources of every kind, and from a publisher."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bitstation.core.manifest import Manifest, parse_manifest
from bitstation.errors import BitStationError, ManifestError, PackageInvalid
from tests.attack.machine import (
    NEW,
    AnySource,
    Document,
    Machine,
    folder_of,
    package_of,
    source_of,
)
from tests.integration.hq_requests import SESSIONS, Caller

Kinds = type[BitStationError] | tuple[type[BitStationError], ...]
INVALID: Kinds = (ManifestError, PackageInvalid)


class Entrances:
    """Where the same manifest is refused, or taken, alike."""

    def __init__(self, folder: Path, hq: Caller) -> None:
        self._folder = folder
        self._hq = hq

    def refuse(self, manifest: bytes | Document, *words: str, kinds: Kinds = INVALID) -> None:
        """Every source's offer is refused with those words and no change, and so is an upload."""
        data = encoded(manifest)
        machine = Machine(self._new_folder())
        for source in self.sources(data):
            machine.refuses_update(source, kinds, *words)
        reply = self._hq.authorized("POST", SESSIONS, data)
        assert 400 <= reply.status < 500, reply
        if reply.status != 413:
            assert all(word in reply.json["detail"] for word in words), reply
        assert self._hq.get("/healthz").status == 200

    def take(
        self, manifest: bytes | Document, files: Mapping[str, bytes] = NEW.files, **options: Any
    ) -> Iterator[tuple[Machine, Manifest]]:
        """Machines that were updated to it, each from another kind of source."""
        data = encoded(manifest)
        target = parse_manifest(data, legacy=True)
        for source in self.sources(data, files):
            machine = Machine(self._new_folder())
            machine.updater = machine.updater_with(**options)
            machine.heals(source, target)
            yield machine, target

    def sources(
        self, manifest: bytes, files: Mapping[str, bytes] = NEW.files
    ) -> Iterator[AnySource]:
        """One of each kind."""
        yield source_of(manifest)
        yield folder_of(self._new_folder(), manifest)
        yield package_of(self._new_folder() / "tool.zip", manifest, files)

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._folder))


def encoded(manifest: bytes | Document) -> bytes:
    """Bytes as they are; of an object what a careless writer makes of it."""
    return manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()


@contextmanager
def memory_below(size_bytes: int) -> Iterator[None]:
    """No more than that is ever held at once inside."""
    import tracemalloc

    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size_bytes, f"{peak} bytes"
