"""What this machine knows of releases: the manifests in their folders, the atlases beside them.

An atlas is kept for each release that is kept, and for the one in the making. It is a hint like
the source it came from: a damaged one is as good as none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bitstation.codec.guiding import Papers
from bitstation.core.atlas import MAX_ATLAS_BYTES, Atlas, parse_atlas
from bitstation.core.digest import Digest
from bitstation.core.manifest import MAX_MANIFEST_BYTES, Manifest
from bitstation.errors import ManifestError
from bitstation.storage.journal import read_journal
from bitstation.storage.tree import ToolTree, read_manifest_bytes
from bitstation.worker.history import known_hash
from bitstation.worker.run import Run


class LocalPapers:
    """Papers of the kept releases of one tool, and of one that an interrupted run began.

    See ``transport.guidance.Known``.
    """

    def __init__(self, tree: ToolTree, current: Manifest | None) -> None:
        self._tree = tree
        self._versions: Mapping[str, str] = _versions(tree, current)
        begin = read_journal(tree.journal).begin
        # Without its plan an interrupted update begins anew, with all that its source tells.
        self._begun = begin.manifest_hash if begin and tree.plan.is_file() else None

    def papers(self, manifest_hash: str) -> Papers | None:
        """Manifest and atlas of a release that is here; no check but of their sizes."""
        version = self._versions.get(manifest_hash)
        try:
            if version is not None:
                manifest = read_manifest_bytes(self._tree.release(version))
            elif manifest_hash == self._begun:
                manifest = _begun_manifest(self._tree, manifest_hash).read_bytes()
            else:
                return None
        except OSError:
            return None
        if len(manifest) > MAX_MANIFEST_BYTES:
            return None
        return Papers(manifest, read_atlas(self._tree, manifest_hash))


def _versions(tree: ToolTree, current: Manifest | None) -> dict[str, str]:
    """Versions by manifest_hash, as the history tells; only the current one is sure."""
    found = {}
    for version in tree.kept_versions():
        if (digest := known_hash(tree, version)) is not None:
            found[digest] = version
    if current is not None:
        found[current.manifest_hash] = current.tool_version
    return found


def read_atlas(tree: ToolTree, manifest_hash: str) -> bytes:
    """Bytes of an atlas; empty where there is none."""
    with contextlib.suppress(OSError), tree.atlas(manifest_hash).open("rb") as file:
        data = file.read(MAX_ATLAS_BYTES + 1)
        return data if len(data) <= MAX_ATLAS_BYTES else b""
    return b""


def atlas_of(tree: ToolTree, manifest_hash: str) -> Atlas:
    """Atlas of a release; an empty one where there is none that can be read."""
    with contextlib.suppress(ManifestError):
        if data := read_atlas(tree, manifest_hash):
            return parse_atlas(data)
    return Atlas()


def local_atlases(run: Run) -> Iterator[Atlas]:
    """Atlases of the kept releases of all tools of this machine, those of this tool first.

    Not of one that was begun: it would name files that are not here as the place of their blocks.
    """
    others = (tree for tree in run.root.tools() if tree.tool_id != run.tree.tool_id)
    for tree in (run.tree, *others):
        try:
            names = sorted(path.name for path in tree.atlases.iterdir())
        except OSError:
            continue
        kept = _kept_hashes(tree)
        yield from (atlas_of(tree, name) for name in names if name in kept)


def keep_atlas(run: Run, manifest_hash: Digest, data: bytes) -> None:
    """Keep the atlas of a release. Crash: it is there whole or not at all."""
    if data:
        run.disk.make_dir(run.tree.atlases)
        run.disk.write_file(run.tree.atlas(manifest_hash), data)


def keep_papers(run: Run, manifest_hash: Digest, papers: Papers) -> None:
    """Keep what is known of a release that is begun, so that going on asks nothing twice.

    Crash: each is there whole or not at all.
    """
    run.disk.make_dir(run.tree.atlases)
    run.disk.write_file(_begun_manifest(run.tree, manifest_hash), papers.manifest)
    keep_atlas(run, manifest_hash, papers.atlas)


def _begun_manifest(tree: ToolTree, manifest_hash: str) -> Path:
    return tree.atlases / f"{manifest_hash}.json"


def learn_atlas(run: Run, manifest_hash: Digest, data: bytes) -> None:
    """Keep the atlas of a release that is here and came without it."""
    if data and not read_atlas(run.tree, manifest_hash):
        keep_atlas(run, manifest_hash, data)


def _kept_hashes(tree: ToolTree) -> set[str | None]:
    return {known_hash(tree, version) for version in tree.kept_versions()}


def forget_atlases(run: Run) -> None:
    """Remove the atlases of releases that are not here any more."""
    tree = run.tree
    kept = _kept_hashes(tree)
    with contextlib.suppress(OSError):
        for path in list(tree.atlases.iterdir()):
            if path.name not in kept:
                run.disk.remove(path)
        if not kept:
            run.disk.remove_dir(tree.atlases)
