"""A draft on a disk: what is read of it, how much at most, and what is left of it afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bitstation.errors import SignatureRefused, StoreError
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk
from bitstation.trust import draft_folder
from bitstation.trust.draft import Draft
from bitstation.trust.draft_folder import BEFORE_NAME, MAX_FILES, DraftFolder
from bitstation.trust.files import read_file
from bitstation.trust.roles import MAX_BYTES, MAX_TARGETS_BYTES
from bitstation.trust.signing import File

BEFORE = (File("1.root.json", b"r"), File("7.targets.json", b"t"))
NEXT = (
    File("2.root.json", b"rr"),
    File("8.targets.json", b"tt"),
    File("1.acme.json", b"a"),
    File("3.acme-00.json", b"b"),
)


@pytest.fixture
def folder(tmp_path: Path) -> DraftFolder:
    return DraftFolder(tmp_path / "deep" / "draft", QuickDisk())


# --- one file -------------------------------------------------------------------------------------


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "1.root.json"
    assert read_file(path, 100) is None
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(SignatureRefused) as caught:
        read_file(path, 4)
    assert caught.value.fields["what"] == "1.root.json"
    with pytest.raises(StoreError):
        read_file(tmp_path, 100)


# --- a folder of them -----------------------------------------------------------------------------


def test_what_was_saved_is_loaded_in_the_order_of_writing_out(folder: DraftFolder) -> None:
    assert not folder.exists
    draft = Draft(NEXT, BEFORE)
    folder.save(draft)
    assert folder.exists
    assert folder.load() == draft


def test_where_nothing_is_a_draft_holds_nothing(folder: DraftFolder) -> None:
    assert folder.load() == Draft(())


def test_the_top_roles_come_first_and_the_timestamp_last(folder: DraftFolder) -> None:
    names = ["1.root.json", "1.targets.json", "1.acme.json", "1.requirements.json",
             "1.snapshot.json", "timestamp.json"]  # fmt: skip
    files = tuple(File(name, b"") for name in names)
    folder.save(Draft(tuple(reversed(files))))
    assert folder.load().files == files


def test_what_is_no_metadata_is_not_read(folder: DraftFolder) -> None:
    """Whoever carried it may have left his own in it."""
    folder.save(Draft(NEXT, BEFORE))
    for name in ("notes.txt", "letter.json", "0.root.json", ".json", "1.ro ot.json"):
        (folder.path / name).write_bytes(b"x")
    (folder.path / "9.root.json").mkdir()
    assert folder.load() == Draft(NEXT, BEFORE)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_what_it_follows_lies_in_it(folder: DraftFolder, tmp_path: Path) -> None:
    """Through a link files of others would be written over, and removed."""
    folder.save(Draft(NEXT, BEFORE))
    elsewhere = (folder.path / BEFORE_NAME).rename(tmp_path / "elsewhere")
    (folder.path / BEFORE_NAME).symlink_to(elsewhere)
    with pytest.raises(SignatureRefused) as caught:
        folder.load()
    assert "it leads to another folder" in str(caught.value)


@pytest.mark.parametrize("part", ["", BEFORE_NAME])
def test_a_draft_of_too_many_files_is_refused(folder: DraftFolder, part: str) -> None:
    where = folder.path / part
    where.mkdir(parents=True)
    for number in range(MAX_FILES):
        (where / f"1.acme-{number}.json").write_bytes(b"{}")
    assert len([*folder.load().files, *folder.load().before]) == MAX_FILES
    (where / "letter.json").write_bytes(b"")
    with pytest.raises(SignatureRefused) as caught:
        folder.load()
    assert "too many files" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "most"), [("2.root.json", MAX_BYTES["root"]), ("2.acme.json", MAX_TARGETS_BYTES)]
)
def test_no_file_is_larger_than_its_role_allows(folder: DraftFolder, name: str, most: int) -> None:
    folder.save(Draft((File(name, bytes(most)),)))
    assert len(folder.load().files[0].data) == most
    folder.save(Draft((File(name, bytes(most + 1)),)))
    with pytest.raises(SignatureRefused):
        folder.load()


def test_all_files_together_are_no_larger_than_a_draft_may_be(
    folder: DraftFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft_folder, "MAX_DRAFT_BYTES", 6)
    folder.save(Draft(NEXT))
    assert folder.load() == Draft(NEXT)
    folder.save(Draft((*NEXT, File("1.bolt.json", b"b"))))
    with pytest.raises(SignatureRefused):
        folder.load()


def test_a_file_that_somebody_takes_away_meanwhile_is_not_there(
    folder: DraftFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken_away(path: Path, most_bytes: int) -> bytes | None:
        path.unlink()
        return read_file(path, most_bytes)

    folder.save(Draft(NEXT))
    monkeypatch.setattr(draft_folder, "read_file", taken_away)
    assert folder.load() == Draft(())


def test_a_draft_that_was_taken_in_leaves_nothing(folder: DraftFolder) -> None:
    folder.save(Draft(NEXT, BEFORE))
    folder.remove(Draft(NEXT, BEFORE))
    assert not folder.path.exists()
    # Once more is fine, and so is one that follows nothing.
    folder.remove(Draft(NEXT, BEFORE))
    folder.save(Draft(NEXT))
    folder.remove(Draft(NEXT))
    assert not folder.path.exists()


@pytest.mark.parametrize("part", ["", BEFORE_NAME])
def test_what_others_laid_into_it_stays(folder: DraftFolder, part: str) -> None:
    folder.save(Draft(NEXT, BEFORE))
    (folder.path / part / "notes.txt").write_bytes(b"mine")
    folder.remove(Draft(NEXT, BEFORE))
    left = [path for path in folder.path.rglob("*") if path.is_file()]
    assert left == [folder.path / part / "notes.txt"]


def test_what_it_replaces_is_written_first(tmp_path: Path) -> None:
    disk = FaultyDisk()
    DraftFolder(tmp_path / "draft", disk).save(Draft(NEXT, BEFORE))
    order = [call.split()[-1] for call in disk.calls]
    names = [file.name for file in (*BEFORE, *NEXT)]
    places = [order.index(name) for name in names]
    assert places == sorted(places)


def test_without_a_disk_it_is_written_too(tmp_path: Path) -> None:
    DraftFolder(tmp_path / "draft").save(Draft(NEXT, BEFORE))
    assert DraftFolder(tmp_path / "draft").load() == Draft(NEXT, BEFORE)
