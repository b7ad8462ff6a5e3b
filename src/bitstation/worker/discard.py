"""Remove folders of ours without un-proving the files that share their content."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.storage.reuse import LINK_FROM_BYTES, remove_name
from bitstation.storage.tree import files_below
from bitstation.worker.inventory import Names, names_of
from bitstation.worker.lending import linked_names
from bitstation.worker.run import Run


def discard_tree(run: Run, folder: Path) -> None:
    """Remove a folder and all in it; absent is fine.

    Hard links of it keep their proofs under their other names. Raises OSError. Crash: a later
    call goes on; a file whose name went without a record is hashed again by recovery.
    """
    if not host.is_link(folder):
        _remove_names(run, folder, list(files_below(folder)))
    run.disk.remove_tree(folder)


def keep_only(run: Run, folder: Path, paths: Collection[str]) -> None:
    """Remove all below a folder but those files; hard links keep their proofs elsewhere."""
    gone = [path for path in files_below(folder) if path not in paths]
    _remove_names(run, folder, gone)
    for path in gone:
        run.disk.remove(folder / path)
    needed = {parent for path in paths for parent in (folder / path).parents}
    for below, _folders, _files in os.walk(folder, topdown=False):
        if Path(below) not in needed and Path(below) != folder:
            run.disk.remove_dir(Path(below))


def drop_empty(run: Run) -> None:
    """Remove the folder of releases where there is none, so that the tool counts as absent."""
    if run.tree.releases.is_dir() and not any(run.tree.releases.iterdir()):
        run.disk.remove_dir(run.tree.releases)


def _remove_names(run: Run, folder: Path, paths: Iterable[str]) -> None:
    """Remove those files that share their content with names elsewhere."""
    sharing = _sharing(folder, paths)
    digests = {path: run.ledger.proof(facts) for path, facts in sharing.items() if facts.links > 1}
    wanted = {digest for digest in digests.values() if digest}
    names: Names = names_of(run, wanted)
    for digest, lent in linked_names(run, wanted).items():
        names.setdefault(digest, []).extend(lent)
    for path in sharing:
        others = _outside(folder, names, digests.get(path))
        remove_name(path, run.disk, run.ledger, others)


def _sharing(folder: Path, paths: Iterable[str]) -> dict[Path, host.StatFacts]:
    """Files that have further names, or could be given one by a run beside us at any moment."""
    found = {}
    for path in paths:
        facts = host.stat_facts(folder / path)
        if facts.is_file and (facts.links > 1 or facts.size >= LINK_FROM_BYTES):
            found[folder / path] = facts
    return found


def _outside(folder: Path, names: Names, digest: Digest | None) -> list[Path]:
    found = names.get(digest, []) if digest else []
    return [name for name in found if folder not in name.parents]
