"""``models fetch``: the models that a tool folder locks, brought and proved."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec

from bitstation import host
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.errors import DiskFull, IntegrityError
from bitstation.publisher.cache import cache_dir, locked
from bitstation.publisher.download import Download
from bitstation.publisher.lock import LockedModel, load_lock
from bitstation.publisher.progress import Progress, prove_shown, silent
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors, free_bytes
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.reuse import Reuse, move_file


class FetchedModel(msgspec.Struct, frozen=True):
    """What was done for one model; ``received_bytes`` is 0 when it was there."""

    path: str
    size: int
    received_bytes: int
    was_here: bool


class ModelDiffers(IntegrityError):
    """A file stands where a locked model belongs, and is another."""

    code = "model-differs"
    message = "{path} has SHA-256 {actual}, its lock says {expected}"
    hint = "correct models.lock.json, or replace the file: --yes does that"


def fetch_models(
    folder: Path,
    ledger: Ledger,
    *,
    replace: bool = False,
    progress: Progress = silent,
    disk: Disk | None = None,
    stop: Stop | None = None,
) -> list[FetchedModel]:
    """Bring what a tool folder locks and does not hold. An interrupted run is gone on with.

    A file that differs from its lock is replaced only if ``replace``: it may be the newer one.
    Raises ToolFolderInvalid, ModelDiffers, SourceError, DigestMismatch, StoreError,
    UpdateCancelled. Crash: no file in the folder is ever other than whole and proved.
    """
    models = load_lock(folder)
    paths = [host.native_path((folder / model.path).absolute()) for model in models]
    disk, stop = disk or Disk(), stop or Stop()
    fetched = []
    with disk_errors(folder):
        proofs = prove_shown(paths, ledger, folder.name, progress, stop)
        for model, path, proof in zip(models, paths, proofs, strict=True):
            if proof.digest == model.sha256:
                fetched.append(FetchedModel(model.path, model.size, 0, was_here=True))
                continue
            if proof.digest is not None and not replace:
                raise ModelDiffers(path=model.path, actual=proof.digest, expected=model.sha256)
            received = _fetch(model, path, ledger, progress, disk, stop)
            fetched.append(FetchedModel(model.path, model.size, received, was_here=False))
    return fetched


def _fetch(
    model: LockedModel, target: Path, ledger: Ledger, progress: Progress, disk: Disk, stop: Stop
) -> int:
    begun = cache_dir() / "models"
    disk.make_dir(begun)
    disk.make_dir(target.parent)
    on_bytes = progress("fetch", model.path, model.size)
    with locked(f"model-{model.sha256}"):
        part = begun / f"{model.sha256}.part"
        download = Download(model, part, ledger, disk, on_bytes=on_bytes, stop=stop)
        if free_bytes(begun) < download.missing_bytes:
            raise DiskFull(
                path=str(begun),
                needed_bytes=download.missing_bytes,
                free_bytes=free_bytes(begun),
            )
        download.run()
        _place(part, target, model, disk, ledger)
        download.drop()
    return download.received_bytes


def _place(part: Path, target: Path, model: LockedModel, disk: Disk, ledger: Ledger) -> None:
    try:
        move_file(part, target, disk, ledger)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The cache lies on another volume: what is copied is hashed on its way.
        temporary = target.with_name(target.name + TEMPORARY_SUFFIX)
        disk.remove(temporary)
        Reuse(disk, ledger).place(part, temporary, model.sha256, executable=False)
        disk.sync_path(temporary)
        disk.replace(temporary, target)
    disk.sync_dir(target.parent)
