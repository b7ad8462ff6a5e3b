"""Updates under attack: what is asked of a source, and what must hold whatever it did."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

from bitstation import BitStationError, DeltaUpdater, Eligibility, host
from bitstation.core.digest import Digest
from bitstation.core.recipe import Recipes
from bitstation.core.stats import UpdateStats
from bitstation.storage.ledger import Ledger
from bitstation.testing.invariants import Invariants, check_settled, wrong_files
from bitstation.testing.mapped import BLOCK_BYTES, Mapped, guide_to, map_release, offer
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.transport.source import Source

MODEL = random.Random(1).randbytes(20 * BLOCK_BYTES + 123)
HEADER = random.Random(2).randbytes(777)
EDITED = HEADER + MODEL[777:]
FIRST = map_release(make_release({"model.bin": MODEL, "run.py": b"print()"}, "1.0.0"))
SECOND = map_release(make_release({"model.bin": EDITED, "run.py": b"print(1)"}, "1.1.0"))
OLD_MODEL, NEW_MODEL = FIRST.digest("model.bin"), SECOND.digest("model.bin")


def source_of(
    target: Mapped,
    base: Mapped | None = None,
    recipes: Recipes | None = None,
    inline: bytes = b"",
) -> MemorySource:
    """A source with a plain guide, and one from the base where there is one."""
    source = MemorySource()
    offer(source, target, guide_to(target))
    if base is not None:
        offer(source, target, guide_to(target, base, recipes, inline), base)
    return source


def release_of(files: dict[str, bytes], version: str, *, tool_id: str = TOOL_ID) -> Mapped:
    """A release with maps of all that is longer than a block."""
    return map_release(make_release(files, version, tool_id=tool_id))


def asked_of(source: MemorySource, digest: Digest) -> int:
    """Bytes of a blob that were asked for."""
    blob = len(source._blobs.get(digest, b""))
    spans = [each for each in source.asked if each.digest == digest]
    return sum(blob - each.offset if each.length is None else each.length for each in spans)


def asked_of_files(source: MemorySource, target: Mapped) -> int:
    """Bytes of files of a release that were asked for."""
    return sum(asked_of(source, digest) for digest in target.release.blobs)


def updates(
    updater: DeltaUpdater, source: MemorySource, target: Mapped, *, damaged: str = "none"
) -> UpdateStats:
    """Update, which must succeed: the target is current, whole, and nothing is left over.

    ``damaged`` is a kept version that the test has damaged itself.
    """
    invariants = Invariants(updater.root.path)
    stats = updater.update(source, target.release.version)
    found = invariants.broken(updater.tree.tool_id, [target.release.manifest], absent=False)
    assert [each for each in found if not each.startswith(f"I4: {damaged}/")] == []
    folder = updater.tree.release(target.release.version)
    assert wrong_files(folder, target.release.manifest) == []
    check_settled(updater.tree)
    manifest = target.release.manifest
    answer = updater.get_network_eligibility(manifest.tool_version, manifest.manifest_hash)
    assert answer == "ELIGIBLE"
    return stats


def whole_or_nothing(
    updater: DeltaUpdater, source: Source, base: Mapped, target: Mapped
) -> BitStationError | None:
    """Try to update: the target is current and whole, or an error says why the base still is."""
    invariants = Invariants(updater.root.path)
    error = None
    try:
        updater.update(source, target.release.version)
    except BitStationError as caught:
        error = caught
    current = target if error is None else base
    invariants.check(updater.tree.tool_id, current.release.manifest)
    if error is None:
        check_settled(updater.tree)
    return error


def is_current(updater: DeltaUpdater, release: Release) -> None:
    """A release is active, whole and eligible, and nothing is left over."""
    Invariants(updater.root.path).check(updater.tree.tool_id, release.manifest)
    check_settled(updater.tree)
    answer = updater.get_network_eligibility(release.version, release.manifest.manifest_hash)
    assert answer == Eligibility.ELIGIBLE


def rot(path: Path, offset: int) -> None:
    """Change one byte of a file, so that neither its size nor its times show it."""
    facts = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    path.chmod(facts.st_mode & 0o777)


def rot_unseen(updater: DeltaUpdater, path: Path, offset: int) -> None:
    """The same, and the ledger still holds the file for proved: rot of the medium itself."""
    with contextlib.closing(Ledger(updater.root.ledger)) as ledger, ledger.locked():
        digest = ledger.proof(host.stat_facts(path))
        assert digest is not None
        rot(path, offset)
        ledger.restamp(host.stat_facts(path), digest)
