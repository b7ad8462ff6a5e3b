"""Files are read once, then trusted while nothing was done to them; one bad file hides no other."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from bitstation import host
from bitstation.core.digest import EMPTY, Digest, digest_of
from bitstation.errors import FileChanged, UpdateCancelled
from bitstation.storage import hashing, proving
from bitstation.storage.hashing import HASH_BLOCK_BYTES, Stop, hash_file
from bitstation.storage.ledger import Ledger
from bitstation.storage.proving import Proof, batches, prove_files


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "files"
    folder.mkdir()
    made = [folder / f"f{number}" for number in range(5)]
    for number, path in enumerate(made):
        path.write_bytes(b"x" * number * 1000)
    return made


def digests(files: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def test_every_file_is_proved_in_order_and_read_once(ledger: Ledger, files: list[Path]) -> None:
    first = prove_files(files, ledger)
    second = prove_files(files, ledger)

    assert [proof.digest for proof in first] == digests(files)
    assert [proof.by_hash for proof in first] == [True] * 5
    assert [(proof.digest, proof.by_hash) for proof in second] == [
        (digest, False) for digest in digests(files)
    ]


def test_deep_reads_what_the_ledger_proves(ledger: Ledger, files: list[Path]) -> None:
    prove_files(files, ledger)
    assert [proof.by_hash for proof in prove_files(files, ledger, deep=True)] == [True] * 5


def test_one_file_many_times_is_proved_each_time(ledger: Ledger, files: list[Path]) -> None:
    proofs = prove_files([files[1]] * 3, ledger)
    assert {proof.digest for proof in proofs} == {digest_of(b"x" * 1000)}


def test_what_is_no_file_is_unproved_and_nothing_else_is(
    ledger: Ledger, files: list[Path], tmp_path: Path
) -> None:
    absent = prove_files([files[0], tmp_path / "absent", tmp_path, files[1]], ledger)
    assert [proof.digest is None for proof in absent] == [False, True, True, False]
    assert absent[1].facts is None
    assert absent[0].digest == EMPTY


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks, pipes")
def test_links_and_pipes_are_not_opened(ledger: Ledger, files: list[Path], tmp_path: Path) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(files[1])
    os.mkfifo(pipe)
    assert [proof.digest for proof in prove_files([link, pipe], ledger)] == [None, None]


def test_a_file_that_changes_while_it_is_read_is_unproved_and_hides_no_other(
    ledger: Ledger, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = proving.hash_file

    def restless(path: Path, *arguments: object) -> object:
        if path == files[2]:
            raise FileChanged(path=str(path))
        return real(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(proving, "hash_file", restless)
    proofs = prove_files(files, ledger, deep=True)
    assert [proof.digest is None for proof in proofs] == [False, False, True, False, False]
    assert all(proof.by_hash for proof in proofs), "also where it was told to read deeply"


def test_a_file_that_cannot_be_read_hides_no_other(
    ledger: Ledger, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = proving.hash_file

    def unreadable(path: Path, *arguments: object) -> object:
        if path == files[2]:
            raise OSError(5, "input/output error")
        return real(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(proving, "hash_file", unreadable)
    assert [proof.digest is None for proof in prove_files(files, ledger)].count(True) == 1


def test_a_file_that_vanishes_between_the_looks_is_unproved(
    ledger: Ledger, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ledger.moment_past

    def vanish(facts: object) -> int:
        files[3].unlink(missing_ok=True)
        return real(facts)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "moment_past", vanish)
    assert [proof.digest is None for proof in prove_files(files, ledger)].count(True) == 1


def test_the_bytes_that_will_be_read_are_told_and_then_counted(
    ledger: Ledger, files: list[Path]
) -> None:
    totals: list[int] = []
    counts: list[int] = []
    prove_files(files, ledger, on_total=totals.append, on_bytes=counts.append)
    assert (totals, sum(counts)) == ([10_000], 10_000)
    prove_files(files, ledger, on_total=totals.append, on_bytes=counts.append)
    assert (totals, sum(counts)) == ([10_000], 10_000), "nothing more was read"


def test_a_stamp_that_another_run_is_just_changing_is_looked_at_again(
    ledger: Ledger, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another run linked or unlinked is recorded under its lock: no reading is needed."""
    (first,) = prove_files([files[1]], ledger)
    os.link(files[1], files[1].with_name("second"))
    real = ledger.locked

    @contextmanager
    def locked() -> Iterator[None]:
        with real():
            # The other run was in the midst of it, and is done by the time the lock is ours.
            ledger.restamp(host.stat_facts(files[1]), Digest(str(first.digest)))
            yield

    monkeypatch.setattr(ledger, "locked", locked)
    (again,) = prove_files([files[1]], ledger)
    assert (again.digest, again.by_hash) == (first.digest, False)


def test_only_what_is_there_and_not_proved_is_looked_at_again(
    ledger: Ledger, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    stat_facts, locked, locks = host.stat_facts, ledger.locked, []

    def looking(path: Path) -> host.StatFacts:
        looked.append(path.name)
        return stat_facts(path)

    def locking() -> AbstractContextManager[None]:
        locks.append(1)
        return locked()

    prove_files(files[1:], ledger)
    monkeypatch.setattr(host, "stat_facts", looking)
    monkeypatch.setattr(ledger, "locked", locking)
    monkeypatch.setattr(ledger, "record", lambda *_args, **_options: None)
    monkeypatch.setattr(proving, "hash_file", lambda *_: (stat_facts(files[0]), EMPTY))

    prove_files([*files[1:], tmp_path / "absent"], ledger)
    assert (looked, locks) == (["f1", "f2", "f3", "f4", "absent"], [])

    looked.clear()
    prove_files([*files, tmp_path / "absent"], ledger)
    # Then the ledger asks what time its volume has.
    assert (looked[6:7], locks) == (["f0"], [1])
    assert set(looked[7:]) <= {"clock"}


def test_a_batch_ends_once_it_comes_to_the_limit(files: list[Path]) -> None:
    sized = [Proof(None, False, host.stat_facts(path)) for path in files]
    lists = [[each.facts.size for each in batch] for batch in batches(sized, 3000)]  # type: ignore[union-attr]
    assert lists == [[0, 1000, 2000], [3000], [4000]]
    assert list(batches([], 3000)) == []


def test_once_one_fails_for_good_no_other_is_begun(
    ledger: Ledger, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = [], threading.Event()

    def hashing_once(path: Path, *_: object) -> object:
        begun.append(path.name)
        if len(begun) > 1:
            over.wait(60)
        raise UpdateCancelled

    monkeypatch.setattr(proving, "hash_file", hashing_once)
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(host, "shared_pool", lambda: pool)
        with pytest.raises(UpdateCancelled):
            # In order, so that the one whose failure is heard first is the largest.
            prove_files(files[::-1], ledger)
        over.set()
    assert len(begun) <= 2


def test_being_told_to_stop_ends_it(ledger: Ledger, files: list[Path]) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(UpdateCancelled):
        prove_files(files, ledger, stop=stop)


def test_proofs_are_recorded_in_batches(
    ledger: Ledger, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "_BATCH_BYTES", 2500)
    batches: list[int] = []
    real = ledger.record

    def record(proofs: list[object], **options: int) -> None:
        batches.append(len(proofs))
        real(proofs, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "record", record)
    prove_files(files, ledger)
    assert sum(batches) == 5
    assert len(batches) == 3


# --- hashing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [0, 1, HASH_BLOCK_BYTES - 1, HASH_BLOCK_BYTES, HASH_BLOCK_BYTES + 1]
)
def test_any_size_is_hashed_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xa5" * size)
    facts, digest = hash_file(path)
    assert digest == hashlib.sha256(b"\xa5" * size).hexdigest()
    assert facts.size == size


def test_a_file_that_grows_while_it_is_hashed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_buffer", lambda: bytearray(1000))
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5000)

    def write_on(_count: int) -> None:
        if path.stat().st_size < 6000:
            with path.open("ab") as file:
                file.write(b"y" * 1000)

    with pytest.raises(FileChanged):
        hash_file(path, write_on)


def test_stop_is_noticed_between_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_buffer", lambda: bytearray(1000))
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5000)
    stop, counts = Stop(), []

    def tell(count: int) -> None:
        counts.append(count)
        stop.set()

    with pytest.raises(UpdateCancelled):
        hash_file(path, tell, stop)
    assert counts == [1000]
    with pytest.raises(UpdateCancelled):
        stop.wait(3600)


def test_what_changed_of_late_is_durable_before_it_is_recorded(
    ledger: Ledger, files: list[Path]
) -> None:
    synced: list[Path] = []
    prove_files(files, ledger, sync=synced.append)
    assert synced == files
    prove_files(files, ledger, sync=synced.append)
    assert synced == files, "what is recorded is durable"


def test_what_changed_long_ago_is_durable_already(
    ledger: Ledger, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "_WRITTEN_BACK_NS", 0)
    synced: list[Path] = []
    prove_files(files, ledger, sync=synced.append)
    assert not synced


def test_from_ten_minutes_on_it_is_durable(files: list[Path]) -> None:
    facts, synced = host.stat_facts(files[0]), list[Path]()
    written_back_ns = facts.change_ns + proving._WRITTEN_BACK_NS
    assert proving.is_durable(files[0], facts, written_back_ns, synced.append)
    assert not synced
    assert proving.is_durable(files[0], facts, written_back_ns - 1, synced.append)
    assert synced == files[:1]


def test_a_file_that_may_not_be_synced_is_proved_and_not_recorded(
    ledger: Ledger, files: list[Path]
) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError

    for _ in range(2):
        proofs = prove_files(files, ledger, sync=refuse)
        assert [proof.digest for proof in proofs] == digests(files)
        assert all(proof.by_hash for proof in proofs)


def test_a_file_that_does_not_get_to_the_disk_is_not_proved(
    ledger: Ledger, files: list[Path]
) -> None:
    def fail(path: Path) -> None:
        if path == files[1]:
            raise OSError(5, "input/output error")

    proofs = prove_files(files, ledger, sync=fail)
    assert [proof.digest is None for proof in proofs].index(True) == 1
    assert ledger.proof(host.stat_facts(files[1])) is None
