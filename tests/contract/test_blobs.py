"""What every blob store of HQ promises, held against the folder."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from bitstation.core.digest import EMPTY, Digest, digest_of
from bitstation.errors import (
    DigestMismatch,
    DiskFull,
    IntegrityError,
    NotFound,
    PermissionRefused,
    StoreError,
    StoreLocked,
)
from bitstation.host import native_path
from bitstation.storage.blobs import BlobFolder
from bitstation.storage.durable import Disk

DATA = bytes(range(256)) * 40
DIGEST = digest_of(DATA)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path)


def put(blobs: BlobFolder, data: bytes) -> Digest:
    digest = digest_of(data)
    upload = blobs.upload(digest, len(data))
    assert upload is not None
    with upload:
        upload.write(data)
        upload.finish()
    return digest


def send(blobs: BlobFolder, data: bytes, *, digest: Digest = DIGEST, size: int = len(DATA)) -> int:
    """Append some bytes and say how many are there."""
    upload = blobs.upload(digest, size)
    assert upload is not None
    with upload:
        upload.write(data)
        return upload.received


def parts(tmp_path: Path) -> list[str]:
    return sorted(part.name for part in (tmp_path / "incoming").iterdir())


def test_a_blob_is_kept_under_its_digest_and_is_read_only(blobs: BlobFolder, tmp_path: Path):
    put(blobs, DATA)
    path = native_path(tmp_path / "blobs" / "sha256" / DIGEST[:2] / DIGEST[2:4] / DIGEST)
    assert blobs.path_of(DIGEST) == path
    assert path.read_bytes() == DATA
    assert not stat.S_IMODE(path.stat().st_mode) & 0o222
    assert blobs.has(DIGEST)
    assert blobs.size(DIGEST) == len(DATA)
    with blobs.open_read(DIGEST) as file:
        assert file.read() == DATA
    assert parts(tmp_path) == []


def test_the_empty_blob_is_a_blob(blobs: BlobFolder):
    assert put(blobs, b"") == EMPTY
    assert blobs.size(EMPTY) == 0


def test_what_is_not_here_is_said_so(blobs: BlobFolder):
    assert not blobs.has(DIGEST)
    assert blobs.size(DIGEST) is None
    assert blobs.received(DIGEST) == 0
    with pytest.raises(NotFound):
        blobs.open_read(DIGEST)
    blobs.remove(DIGEST)


@pytest.mark.parametrize("name", ["", "..", "../x", "a" * 63, "A" * 64, "a" * 64 + "\n", "/" * 64])
def test_only_a_digest_names_a_place(blobs: BlobFolder, name: str):
    with pytest.raises(ValueError, match="not a digest"):
        blobs.path_of(Digest(name))


def test_an_upload_goes_on_where_it_stopped(blobs: BlobFolder):
    assert send(blobs, DATA[:4000]) == 4000
    assert blobs.received(DIGEST) == 4000
    upload = blobs.upload(DIGEST, len(DATA))
    assert upload is not None
    with upload:
        assert upload.received == 4000
        assert not upload.is_complete
        upload.write(DATA[4000:])
        assert upload.is_complete
        upload.finish()
    assert blobs.has(DIGEST)


def test_an_upload_goes_on_in_the_next_process(blobs: BlobFolder, tmp_path: Path):
    send(blobs, DATA[:4000])
    after = BlobFolder(tmp_path)
    send(after, DATA[4000:9000])
    last = BlobFolder(tmp_path)
    upload = last.upload(DIGEST, len(DATA))
    assert upload is not None
    with upload:
        assert upload.received == 9000
        upload.write(DATA[9000:])
        upload.finish()
    assert last.path_of(DIGEST).read_bytes() == DATA


def test_wrong_bytes_never_become_a_blob_and_are_dropped(blobs: BlobFolder, tmp_path: Path):
    upload = blobs.upload(DIGEST, len(DATA))
    assert upload is not None
    with upload:
        upload.write(bytes(len(DATA)))
        with pytest.raises(DigestMismatch):
            upload.finish()
    assert not blobs.has(DIGEST)
    assert parts(tmp_path) == []
    put(blobs, DATA)
    assert blobs.has(DIGEST)


def test_more_bytes_than_stated_are_refused_and_dropped(blobs: BlobFolder, tmp_path: Path):
    upload = blobs.upload(DIGEST, 100)
    assert upload is not None
    with upload:
        upload.write(DATA[:100])
        with pytest.raises(IntegrityError):
            upload.write(b"x")
    assert blobs.received(DIGEST) == 0
    assert parts(tmp_path) == []


def test_a_part_that_is_larger_than_the_blob_begins_anew(blobs: BlobFolder):
    send(blobs, DATA[:5000])
    assert send(blobs, b"abc", size=3) == 3


def test_restart_drops_what_came(blobs: BlobFolder):
    send(blobs, b"wrong")
    upload = blobs.upload(DIGEST, len(DATA))
    assert upload is not None
    with upload:
        upload.restart()
        assert upload.received == 0
        upload.write(DATA)
        upload.finish()
    assert blobs.has(DIGEST)


def test_a_part_that_grew_behind_our_back_is_hashed_again(blobs: BlobFolder, tmp_path: Path):
    send(blobs, DATA[:4000])
    with (tmp_path / "incoming" / f"{DIGEST}.part").open("ab") as part:
        part.write(DATA[4000:4100])
    upload = blobs.upload(DIGEST, len(DATA))
    assert upload is not None
    with upload:
        assert upload.received == 4100
        upload.write(DATA[4100:])
        upload.finish()


def test_one_writer_at_a_time(blobs: BlobFolder):
    first = blobs.upload(DIGEST, len(DATA))
    assert first is not None
    with first:
        with pytest.raises(StoreLocked):
            blobs.upload(DIGEST, len(DATA))
        put(blobs, b"another blob is free")
    assert send(blobs, b"x") == 1


def test_a_blob_that_is_here_needs_no_upload(blobs: BlobFolder):
    put(blobs, DATA)
    assert blobs.upload(DIGEST, len(DATA)) is None
    assert blobs.upload(DIGEST, len(DATA)) is None


def test_many_writers_of_one_blob_leave_it_right(blobs: BlobFolder):
    ended: list[str] = []

    def publish() -> None:
        while not blobs.has(DIGEST):
            try:
                upload = blobs.upload(DIGEST, len(DATA))
            except StoreLocked:
                continue
            if upload is None:
                break
            with upload:
                for start in range(upload.received, len(DATA), 1000):
                    upload.write(DATA[start : start + 1000])
                upload.finish()
        ended.append("done")

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ended == ["done"] * 8
    assert blobs.path_of(DIGEST).read_bytes() == DATA


def test_adopt_takes_a_proved_file_in(blobs: BlobFolder, tmp_path: Path):
    loose = tmp_path / "loose"
    loose.write_bytes(DATA)
    blobs.adopt(loose, DIGEST)
    assert not loose.exists()
    assert blobs.path_of(DIGEST).read_bytes() == DATA


def test_remove_takes_a_blob_away(blobs: BlobFolder):
    put(blobs, DATA)
    blobs.remove(DIGEST)
    assert not blobs.has(DIGEST)


def test_abandoned_uploads_are_swept_by_age(blobs: BlobFolder, tmp_path: Path):
    send(blobs, b"old")
    old = time.time() - 1000
    os.utime(tmp_path / "incoming" / f"{DIGEST}.part", (old, old))
    send(blobs, b"new", digest=digest_of(b"new blob"), size=8)
    assert blobs.sweep_incoming(500) == 1
    assert parts(tmp_path) == [f"{digest_of(b'new blob')}.part"]


def test_space_is_checked_before_the_first_byte(blobs: BlobFolder):
    blobs.check_space(0)
    with pytest.raises(DiskFull):
        blobs.check_space(2**60)


class StopAfter(Disk):
    """Dies after so many mutating calls, as a power cut does."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def __getattribute__(self, name: str):
        found = super().__getattribute__(name)
        if name.startswith("_") or not callable(found):
            return found

        def counted(*args: object, **options: object) -> object:
            if self._left <= 0:
                raise Died
            self._left -= 1
            return found(*args, **options)

        return counted


class Died(BaseException):
    """The end of the process."""


def test_a_crash_after_any_call_leaves_no_half_blob(tmp_path: Path):
    survived = False
    for calls in range(1, 60):
        folder = tmp_path / str(calls)
        try:
            blobs = BlobFolder(folder, StopAfter(calls))
            upload = blobs.upload(DIGEST, len(DATA))
            assert upload is not None
            with upload:
                upload.write(DATA[:5000])
                upload.write(DATA[5000:])
                upload.finish()
            survived = True
        except Died:
            pass
        after = BlobFolder(folder)
        assert after.size(DIGEST) in (None, len(DATA))
        if after.has(DIGEST):
            assert after.path_of(DIGEST).read_bytes() == DATA
        else:
            upload = after.upload(DIGEST, len(DATA))
            assert upload is not None
            with upload:
                upload.write(DATA[upload.received :])
                upload.finish()
        assert after.path_of(DIGEST).read_bytes() == DATA
        if survived:
            break
    assert survived


class FullDisk(Disk):
    """Takes half of each write, then no more."""

    def write(self, file, data):
        super().write(file, memoryview(data)[: len(data) // 2])
        raise OSError(28, "No space left on device", file.name)


def test_a_full_disk_is_told_and_the_upload_goes_on_later(tmp_path: Path):
    full = BlobFolder(tmp_path, FullDisk())
    upload = full.upload(DIGEST, len(DATA))
    assert upload is not None
    with pytest.raises(DiskFull), upload:
        upload.write(DATA)
    after = BlobFolder(tmp_path)
    upload = after.upload(DIGEST, len(DATA))
    assert upload is not None
    with upload:
        upload.write(DATA[upload.received :])
        upload.finish()
    assert after.path_of(DIGEST).read_bytes() == DATA


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "blobs").write_bytes(b"a file where a folder should be")
    with pytest.raises((StoreError, PermissionRefused)):
        BlobFolder(tmp_path)
