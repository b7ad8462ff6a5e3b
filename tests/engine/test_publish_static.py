"""Publishing into a folder: what stands there, what is copied and proved, and when it dies."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest

from bitstation import DeltaUpdater
from bitstation.core.catalog import parse_catalog
from bitstation.core.digest import digest_of
from bitstation.core.mirror import blob_path, encode_offer, offer_path, parse_offer
from bitstation.core.wire import BlobWanted, ReleaseOffer
from bitstation.errors import (
    BitStationError,
    DigestMismatch,
    DiskFull,
    FileChanged,
    ManifestError,
    NotFound,
    ReleaseConflict,
    StoreLocked,
)
from bitstation.host import FileLock
from bitstation.publisher import guides, static_destination
from bitstation.publisher.copying import BlobCopier
from bitstation.publisher.freight import Wish, wishes_in
from bitstation.publisher.manifest import MakingOptions
from bitstation.publisher.publish import Publication, Published, Publisher
from bitstation.publisher.static_destination import StaticDestination
from bitstation.recipes.release import Made
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk, Stopped
from bitstation.testing.invariants import wrong_files
from bitstation.testing.releases import TOOL_ID, UNSIGNED, Release, make_release
from bitstation.transport.mirror import MirrorSource
from tests.engine.mapped_maker import PACK, make_mapped, mapped_of
from tests.engine.publisher_tools import FILES, pack, write_tool

MODEL = os.urandom(1_000_000)
EDITED = MODEL[:400_000] + os.urandom(100_000) + MODEL[500_000:]
FIRST = make_release({"m.bin": MODEL, "a.txt": b"old"}, "1.0.0")
SECOND = make_release({"m.bin": EDITED, "a.txt": b"new", "empty": b""}, "1.1.0")
TWIN = make_release({"a.txt": b"twin"}, "1.1.0")

Publish = Callable[..., Published]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(guides, "make_release", make_mapped)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite3")


@pytest.fixture
def publish(mirror: Path, tmp_path: Path, ledger: Ledger) -> Publish:
    """Publish a release or what lies at a path."""

    def act(what: Release | Path, *, disk: Disk | None = None, bases: int = 3) -> Published:
        path = what if isinstance(what, Path) else shelf(tmp_path, what)
        destination = StaticDestination(mirror, ledger, Stop(), disk or QuickDisk())
        try:
            publisher = Publisher(destination, ledger, Stop(), bases=bases)
            [published] = [publisher.publish(w) for w in wishes_in(path, MakingOptions())]
        finally:
            destination.close()
        return published

    return act


def shelf(tmp_path: Path, release: Release) -> Path:
    folder = tmp_path / "shelf" / release.manifest.manifest_hash[:8]
    return folder if folder.exists() else release.write(folder)


def offer_at(mirror: Path, version: str | None = None, tool_id: str = TOOL_ID) -> ReleaseOffer:
    return parse_offer((mirror / offer_path(tool_id, version)).read_bytes())


def check(mirror: Path, release: Release, tmp_path: Path) -> None:
    """A worker gets exactly this release from it."""
    updater = DeltaUpdater(tmp_path / "worker" / TOOL_ID, disk=QuickDisk(), options=UNSIGNED)
    updater.update(MirrorSource(mirror))
    assert updater.tree.current_version() == release.version
    assert wrong_files(updater.tree.release(release.version), release.manifest) == []


# --- what stands there --------------------------------------------------------------------------


def test_a_folder_is_an_hq_in_files(publish: Publish, mirror: Path, tmp_path: Path) -> None:
    publish(FIRST)
    published = publish(SECOND)
    assert (published.sent_files, published.sent_bytes) == (3, len(EDITED) + 3)
    assert offer_at(mirror) == offer_at(mirror, "1.1.0")
    assert offer_at(mirror, "1.0.0").manifest_hash == FIRST.manifest.manifest_hash
    [row] = parse_catalog((mirror / "catalog.json").read_bytes()).tools
    assert (row.tool_id, row.latest, row.manifest_hash) == (
        TOOL_ID, "1.1.0", SECOND.manifest.manifest_hash
    )  # fmt: skip
    check(mirror, SECOND, tmp_path)


def test_guides_go_with_it_from_the_newest_releases_before_it(
    publish: Publish, mirror: Path
) -> None:
    published = publish(FIRST)
    assert published.guides == 1
    publish(SECOND)
    found = MirrorSource(mirror).resolve(TOOL_ID, None)
    assert found.guidance.atlas == mapped_of(SECOND.manifest, MirrorSource(mirror)).atlas
    bases = [ref.base for ref in offer_at(mirror).guides]
    assert bases == [None, FIRST.manifest.manifest_hash]
    assert (mirror / blob_path(digest_of(PACK))).read_bytes() == PACK
    third = make_release({"a.txt": b"3"}, "1.2.0")
    publish(third, bases=1)
    assert [ref.base for ref in offer_at(mirror).guides] == [None, SECOND.manifest.manifest_hash]
    publish(make_release({"a.txt": b"4"}, "1.3.0"), bases=0)
    assert [ref.base for ref in offer_at(mirror).guides] == [None]
    again = publish(make_release({"a.txt": b"4"}, "1.3.0"), bases=2)
    assert again.guides == 3
    hashes = [None, third.manifest.manifest_hash, SECOND.manifest.manifest_hash]
    assert [ref.base for ref in offer_at(mirror).guides] == hashes


def test_a_base_that_cannot_be_read_is_left_out(publish: Publish, mirror: Path) -> None:
    publish(FIRST)
    for ref in (*offer_at(mirror).guides, offer_at(mirror).manifest):
        (mirror / blob_path(ref.sha256)).unlink()
    assert publish(SECOND).guides == 1


def test_publishing_the_same_again_reads_and_changes_nothing(
    publish: Publish, mirror: Path, tmp_path: Path, opened: list[Path]
) -> None:
    publish(SECOND)
    before = contents(mirror)
    opened.clear()
    again = publish(SECOND)
    assert (again.sent_files, again.sent_bytes, again.guides) == (0, 0, 0)
    assert contents(mirror) == before
    assert not [path for path in opened if path.name in ("m.bin", "a.txt")]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_guides_that_are_worth_nothing_are_made_once(
    publish: Publish, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain_only(*given: Any, **options: Any) -> Made:
        made = make_mapped(*given, **options)
        return msgspec.structs.replace(made, guides=made.guides[:1])

    monkeypatch.setattr(guides, "make_release", plain_only)
    publish(FIRST)
    assert publish(SECOND).guides == 1
    assert publish(SECOND).guides == 0
    without = encode_offer(msgspec.structs.replace(offer_at(mirror), guides=()))
    (mirror / offer_path(TOOL_ID, "1.1.0")).write_bytes(without)
    assert publish(SECOND).guides == 1, "whatever was tried: there is none"


def test_an_older_release_that_comes_later_is_not_the_latest(
    publish: Publish, mirror: Path
) -> None:
    publish(SECOND)
    before = (mirror / "catalog.json").read_bytes()
    publish(FIRST)
    publish(make_release({"a.txt": b"rc"}, "2.0.0-rc.1"))
    assert offer_at(mirror).version == "1.1.0"
    assert offer_at(mirror, "1.0.0").version == "1.0.0"
    assert (mirror / "catalog.json").read_bytes() == before


def test_tools_stand_beside_each_other(publish: Publish, mirror: Path) -> None:
    publish(FIRST)
    publish(make_release({"a.txt": b"old"}, "3.0.0", tool_id="other-tool"))
    assert offer_at(mirror, tool_id="other-tool").version == "3.0.0"
    rows = parse_catalog((mirror / "catalog.json").read_bytes()).tools
    assert [row.tool_id for row in rows] == ["other-tool", TOOL_ID]


def test_a_tool_folder_a_package_and_a_release_folder_give_the_same(
    publish: Publish, mirror: Path, tmp_path: Path
) -> None:
    tool = write_tool(tmp_path / "tools" / "sample", FILES)
    (packed,) = pack(tmp_path / "dist", tool)
    manifest_hash = packed.plan.manifest.manifest_hash
    assert publish(tool).manifest_hash == manifest_hash
    assert not (tool / "manifest.json").exists(), "a publisher's folder is not written to"
    [row] = parse_catalog((mirror / "catalog.json").read_bytes()).tools
    assert (row.name, row.platforms) == (packed.plan.tool.name, packed.plan.tool.platforms)
    for again in (tmp_path / "dist", tmp_path / "dist" / packed.package.name):
        published = publish(again)
        assert (published.manifest_hash, published.sent_files) == (manifest_hash, 0)


def test_guides_tell_of_the_manifest_as_it_was_published(
    publish: Publish, mirror: Path, tmp_path: Path, ledger: Ledger
) -> None:
    tool = write_tool(tmp_path / "tools" / "sample", FILES)
    for month in (1, 2):
        making = MakingOptions(created_at=f"2026-0{month}-01T00:00:00+00:00")
        destination = StaticDestination(mirror, ledger, Stop(), QuickDisk())
        Publisher(destination, ledger, Stop()).publish(Wish(tool, making=making))
        destination.close()
        offer = offer_at(mirror, tool_id="sample")
        without = encode_offer(msgspec.structs.replace(offer, guides=()))
        (mirror / offer_path("sample", "1.0.0")).write_bytes(without)
    assert offer.guides
    found = MirrorSource(mirror).resolve("sample", None)
    assert found.guidance.atlas_bytes, "by the guide"
    assert found.manifest.created_at == "2026-01-01T00:00:00+00:00"


# --- what is refused ----------------------------------------------------------------------------


def test_a_version_never_changes(publish: Publish, mirror: Path) -> None:
    publish(SECOND)
    before = contents(mirror)
    with pytest.raises(ReleaseConflict):
        publish(TWIN)
    assert contents(mirror) == before


def test_a_look_ahead_writes_nothing(
    mirror: Path, tmp_path: Path, ledger: Ledger, publish: Publish
) -> None:
    def look(release: Release) -> tuple[Publication, tuple[str, ...]]:
        destination = StaticDestination(mirror, ledger, Stop())
        publisher = Publisher(destination, ledger, Stop())
        intended = publisher.look_ahead(Wish(shelf(tmp_path, release)))
        destination.close()
        return intended.state, intended.bases

    assert look(FIRST) == (Publication.NEW, ())
    assert not mirror.exists()
    publish(FIRST)
    assert look(FIRST) == (Publication.KNOWN, ())
    assert look(SECOND) == (Publication.NEW, ("1.0.0",))
    publish(SECOND)
    assert look(TWIN) == (Publication.CONFLICT, ("1.0.0",))


def test_two_publishers_do_not_meet(publish: Publish, mirror: Path) -> None:
    publish(FIRST)
    lock = FileLock(mirror / static_destination.WORK_NAME / "lock")
    assert lock.acquire()
    lock.write_holder("another one")
    with pytest.raises(StoreLocked, match="another one"):
        publish(SECOND)
    lock.release()
    publish(SECOND)


def test_a_full_disk_shows_before_the_first_byte(
    publish: Publish, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_destination, "free_bytes", lambda _path: 1000)
    with pytest.raises(DiskFull):
        publish(FIRST)
    assert not (mirror / blob_path(digest_of(MODEL))).exists()


def test_other_bytes_than_the_manifest_says_never_get_a_name(
    publish: Publish, mirror: Path, tmp_path: Path
) -> None:
    (shelf(tmp_path, FIRST) / "m.bin").write_bytes(MODEL[::-1])
    with pytest.raises(DigestMismatch):
        publish(FIRST)
    assert not (mirror / blob_path(digest_of(MODEL))).exists()
    assert not (mirror / offer_path(TOOL_ID)).exists()


@pytest.mark.parametrize("clones", [True, False], ids=["shared", "copied"])
def test_a_proved_file_is_not_hashed_again_and_one_that_changes_is_refused(
    publish: Publish, mirror: Path, tmp_path: Path, clones: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = write_tool(tmp_path / "tools" / "sample", {**FILES, "m.bin": MODEL})

    class Cloning(QuickDisk):
        changes = False

        def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
            if os.fstat(source.fileno()).st_size != len(MODEL):
                return False
            if clones:
                target.write(MODEL)
            if self.changes:
                with (tool / "m.bin").open("ab") as file:
                    file.write(b"!")
            return clones

    disk = Cloning()
    disk.changes = True
    with pytest.raises(FileChanged):
        publish(tool, disk=disk)
    assert not (mirror / blob_path(digest_of(MODEL))).exists()
    disk.changes = False
    (tool / "m.bin").write_bytes(MODEL)
    hashed, real = [], BlobCopier._read

    def spy(copier: BlobCopier, blob: BlobWanted, *rest: Any) -> None:
        hashed.append(blob.size)
        real(copier, blob, *rest)

    monkeypatch.setattr(BlobCopier, "_read", spy)
    publish(tool, disk=disk)
    [guide] = offer_at(mirror, tool_id="sample").guides
    assert hashed == [guide.size]
    assert (mirror / blob_path(digest_of(MODEL))).read_bytes() == MODEL


def test_a_damaged_offer_is_told_and_not_written_over(publish: Publish, mirror: Path) -> None:
    publish(FIRST)
    (mirror / offer_path(TOOL_ID, "1.0.0")).write_bytes(b"{")
    with pytest.raises(ManifestError):
        publish(FIRST)


# --- dying anywhere -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stopped", "refused"])
def test_a_publisher_that_dies_anywhere_leaves_the_old_offer_or_the_new(
    publish: Publish, mirror: Path, tmp_path: Path, kind: str
) -> None:
    publish(FIRST)
    earlier = mirror.rename(tmp_path / "earlier")
    for call in itertools.count(1):
        copy_tree(earlier, mirror)
        how = {"stop_after": call} if kind == "stopped" else {"fail_at": call}
        disk = FaultyDisk(**how)  # type: ignore[arg-type]
        try:
            publish(SECOND, disk=disk)
        except (Stopped, BitStationError):
            pass
        source = MirrorSource(mirror)
        found = source.resolve(TOOL_ID, None)
        assert found.manifest.manifest_hash in {
            each.manifest.manifest_hash for each in (FIRST, SECOND)
        }, disk.calls[-1]
        for entry in found.manifest.entries:
            assert digest_of(source.read_object(entry.sha256, entry.size)) == entry.sha256
        parse_catalog((mirror / "catalog.json").read_bytes())
        publish(SECOND)
        assert offer_at(mirror) == offer_at(mirror, "1.1.0")
        [row] = parse_catalog((mirror / "catalog.json").read_bytes()).tools
        assert row.latest == "1.1.0"
        left = {path.name for path in (mirror / static_destination.WORK_NAME).iterdir()}
        assert left <= {"lock"}
        if not disk.has_struck:
            break
    assert call > 20


def copy_tree(source: Path, target: Path) -> None:
    Disk().remove_tree(target)
    for path in source.rglob("*"):
        if path.is_file():
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(source)).write_bytes(path.read_bytes())


def test_nothing_is_offered_that_is_not_there(publish: Publish, mirror: Path) -> None:
    publish(FIRST)
    with pytest.raises(NotFound):
        MirrorSource(mirror).resolve(TOOL_ID, "9.9.9")
    with pytest.raises(NotFound):
        MirrorSource(mirror).resolve("other-tool", None)
