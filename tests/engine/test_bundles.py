"""A release in one file: made from any source, applied as any update, refused where of no use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.core.bundle import parse_member
from bitstation.core.digest import digest_of
from bitstation.core.mirror import blob_path
from bitstation.errors import (
    DigestMismatch,
    DiskFull,
    DowngradeRefused,
    NotFound,
    UpdateCancelled,
    UsageError,
)
from bitstation.publisher import bundle, guides
from bitstation.publisher.bundle import BundleWish, plan_bundle, write_bundle
from bitstation.publisher.freight import Wish
from bitstation.publisher.publish import Publisher
from bitstation.publisher.static_destination import StaticDestination
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import check_settled, look_at, wrong_files
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, UNSIGNED, Release, make_release
from bitstation.transport.bundle import BundleSource
from bitstation.transport.failures import BaseNeeded
from bitstation.transport.mirror import MirrorSource
from bitstation.transport.source import Source
from tests.engine.mapped_maker import BLOCK_BYTES, PACK, make_mapped

MODEL = os.urandom(30 * BLOCK_BYTES)
CHANGED = (3, 4, 20)


def edited(data: bytes, *blocks: int) -> bytes:
    parts = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
    for number in blocks:
        parts[number] = os.urandom(BLOCK_BYTES)
    return b"".join(parts)


ZERO = make_release({"m.bin": edited(MODEL, 9), "a.txt": b"older"}, "0.9.0")
FIRST = make_release({"m.bin": MODEL, "a.txt": b"old", "same.bin": MODEL[:5000]}, "1.0.0")
SECOND = make_release(
    {"m.bin": edited(MODEL, *CHANGED), "a.txt": b"new", "same.bin": MODEL[:5000]}, "1.1.0"
)
RELEASES = {each.version: each for each in (ZERO, FIRST, SECOND)}

Bundle = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(guides, "make_release", make_mapped)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror with three releases and guides between them."""
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    destination = StaticDestination(tmp_path / "mirror", ledger, Stop(), QuickDisk())
    publisher = Publisher(destination, ledger, Stop())
    for release in RELEASES.values():
        publisher.publish(Wish(release.write(tmp_path / "shelf" / release.version)))
    destination.close()
    return tmp_path / "mirror"


@pytest.fixture
def make(mirror: Path, tmp_path: Path) -> Bundle:
    """Bundles of the mirror's releases."""

    def act(*bases: str, version: str | None = None, **options: int) -> Path:
        source = MirrorSource(mirror)
        plan = plan_bundle(source, BundleWish(TOOL_ID, version, bases))
        return write_bundle(source, plan, tmp_path / "x.bundle", **options)[0]

    return act


@pytest.fixture
def on(mirror: Path, updater: DeltaUpdater) -> Callable[[str], DeltaUpdater]:
    """A worker that has a release of the mirror."""

    def act(version: str) -> DeltaUpdater:
        updater.update(MirrorSource(mirror), version)
        return updater

    return act


def check(updater: DeltaUpdater, release: Release) -> None:
    assert updater.tree.current_version() == release.version
    assert wrong_files(updater.tree.release(release.version), release.manifest) == []
    check_settled(updater.tree)


# --- whole releases -----------------------------------------------------------------------------


def test_a_whole_bundle_installs_and_updates(
    make: Bundle, updater: DeltaUpdater, on: Callable[[str], DeltaUpdater]
) -> None:
    whole = make()
    updater.update(whole)
    check(updater, SECOND)
    assert updater.update(whole).outcome == "nothing-to-do"


def test_an_update_from_a_whole_bundle_takes_only_what_changed(
    make: Bundle, on: Callable[[str], DeltaUpdater]
) -> None:
    stats = on("1.0.0").update(make())
    assert (stats.files_downloaded, stats.files_unchanged) == (2, 1)
    assert stats.bytes_downloaded < len(MODEL) // 2
    check(on("1.1.0"), SECOND)


@pytest.mark.parametrize("wanted", ["0.9.0", "1.0.0"])
def test_any_release_of_a_source_can_be_bundled(
    make: Bundle, updater: DeltaUpdater, wanted: str
) -> None:
    updater.update(make(version=wanted))
    check(updater, RELEASES[wanted])


def test_a_bundle_is_made_of_any_source(tmp_path: Path, updater: DeltaUpdater) -> None:
    for number, source in enumerate(sources(tmp_path)):
        plan = plan_bundle(source, BundleWish(TOOL_ID))
        [file] = write_bundle(source, plan, tmp_path / f"{number}.bundle")
        found = BundleSource(file).resolve(TOOL_ID, None)
        assert found.manifest == SECOND.manifest
    updater.update(file)
    check(updater, SECOND)


def sources(tmp_path: Path) -> list[Source]:
    from bitstation.transport.folder import FolderSource

    return [MemorySource(SECOND), FolderSource(SECOND.write(tmp_path / "published"))]


def test_a_long_bundle_is_cut_into_parts(
    make: Bundle, updater: DeltaUpdater, tmp_path: Path
) -> None:
    first = make(max_asset_bytes=700_000)
    parts = sorted(tmp_path.glob("x.bundle*"))
    assert first.name == parts[0].name
    assert [part.stat().st_size for part in parts[:-1]] == [700_000] * (len(parts) - 1)
    assert len(parts) > 3
    updater.update(tmp_path / "x.bundle")
    check(updater, SECOND)
    make(max_asset_bytes=2_000_000)
    assert len(list(tmp_path.glob("x.bundle*"))) == 2, "parts of an earlier one are gone"
    make()
    assert list(tmp_path.glob("x.bundle*")) == [tmp_path / "x.bundle"]


# --- what is new since a base ---------------------------------------------------------------------


def test_a_bundle_from_a_base_holds_and_brings_only_what_is_new(
    make: Bundle, on: Callable[[str], DeltaUpdater]
) -> None:
    path = make("1.0.0")
    source = BundleSource(path)
    blocks = {inside.span for inside in map(parse_member, members(path)) if inside and inside.span}
    assert {(span.offset, span.length) for span in blocks} >= {
        (3 * BLOCK_BYTES, 2 * BLOCK_BYTES),
        (20 * BLOCK_BYTES, BLOCK_BYTES),
    }
    assert path.stat().st_size < 3 * BLOCK_BYTES + 10_000
    assert [base.version for base in source.release.bases] == ["1.0.0"]
    updater = on("1.0.0")
    stats = updater.update(path)
    check(updater, SECOND)
    assert stats.bytes_downloaded < 3 * BLOCK_BYTES + 10_000
    assert updater.update(path).outcome == "nothing-to-do"
    updater.rollback()
    assert updater.update(path).to_version == "1.1.0", "what is kept needs no base"


def members(path: Path) -> list[str]:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_a_bundle_may_go_on_from_several_releases(
    make: Bundle, make_updater: Callable[..., DeltaUpdater], mirror: Path, tmp_path: Path
) -> None:
    path = make("1.0.0", "0.9.0")
    for version in ("0.9.0", "1.0.0"):
        updater = DeltaUpdater(
            tmp_path / f"on {version}" / TOOL_ID, disk=QuickDisk(), options=UNSIGNED
        )
        updater.update(MirrorSource(mirror), version)
        updater.update(path)
        check(updater, SECOND)


@pytest.mark.parametrize("installed", [None, "0.9.0"])
def test_over_another_base_it_is_refused_and_nothing_changes(
    make: Bundle, on: Callable[[str], DeltaUpdater], updater: DeltaUpdater, installed: str | None
) -> None:
    if installed:
        on(installed)
    path = make("1.0.0")
    before = look_at(updater.root.path) if installed else {}
    with pytest.raises(BaseNeeded, match=r"1\.0\.0") as caught:
        updater.update(path)
    assert caught.value.exit_code == 40
    after = look_at(updater.root.path)
    ours = (".bitstation", f"{TOOL_ID}/.bitstation")
    kept = {key for key in after if not Path(key).as_posix().startswith(ours)}
    assert {key: after[key] for key in kept & before.keys()} == {
        key: before[key] for key in kept & before.keys()
    }
    assert updater.tree.current_version() == installed
    assert not updater.tree.staging_area.exists()


def test_a_base_whose_inside_is_not_known_here_is_told(
    make: Bundle, on: Callable[[str], DeltaUpdater]
) -> None:
    updater = on("1.0.0")
    for atlas in updater.tree.atlases.iterdir():
        atlas.unlink()
    with pytest.raises(NotFound):
        updater.update(make("1.0.0"))
    assert updater.tree.current_version() == "1.0.0"
    check(on("1.1.0"), SECOND)


def test_an_older_bundle_is_refused_as_any_downgrade(
    make: Bundle, on: Callable[[str], DeltaUpdater]
) -> None:
    updater = on("1.1.0")
    for path in (make(version="1.0.0"), make("0.9.0", version="1.0.0")):
        with pytest.raises(DowngradeRefused):
            updater.update(path)
    check(updater, SECOND)


def test_a_plan_tells_what_a_bundle_would_bring(
    make: Bundle, on: Callable[[str], DeltaUpdater]
) -> None:
    plan = on("1.0.0").plan(make("1.0.0"))
    assert plan.download_bytes <= 3 * BLOCK_BYTES + 3 + len(PACK)


# --- what cannot be made --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        (BundleWish(TOOL_ID, "9.9.9"), NotFound),
        (BundleWish("other-tool"), NotFound),
        (BundleWish(TOOL_ID, None, ("9.9.9",)), NotFound),
        (BundleWish(TOOL_ID, None, ("1.1.0",)), UsageError),
        (BundleWish(TOOL_ID, None, ("1.0.0",) * 9), UsageError),
    ],
)
def test_what_is_not_there_cannot_be_bundled(
    mirror: Path, wish: BundleWish, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        plan_bundle(MirrorSource(mirror), wish)


def test_a_failure_leaves_no_bundle_and_an_earlier_one_as_it_was(
    make: Bundle, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make()
    before = path.read_bytes()
    blob = mirror / blob_path(digest_of(SECOND.files["m.bin"]))
    data = blob.read_bytes()
    blob.write_bytes(data[::-1])
    with pytest.raises(DigestMismatch):
        make()
    blob.write_bytes(data)
    monkeypatch.setattr(bundle, "free_bytes", lambda _path: 1000)
    with pytest.raises(DiskFull):
        make()
    monkeypatch.undo()
    stop = Stop()
    stop.set()
    source = MirrorSource(mirror)
    with pytest.raises(UpdateCancelled):
        write_bundle(source, plan_bundle(source, BundleWish(TOOL_ID)), path, stop=stop)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.glob("x.bundle*")] == [path.name]


@pytest.mark.parametrize("block", CHANGED)
def test_a_damaged_block_never_leaves_in_a_bundle(make: Bundle, mirror: Path, block: int) -> None:
    blob = mirror / blob_path(digest_of(SECOND.files["m.bin"]))
    data = bytearray(blob.read_bytes())
    data[(block + 1) * BLOCK_BYTES - 1] ^= 1
    blob.write_bytes(data)
    with pytest.raises(DigestMismatch, match=f"the block at {block * BLOCK_BYTES}"):
        make("1.0.0")
    data[(block + 1) * BLOCK_BYTES - 1] ^= 1
    data[0] ^= 1
    blob.write_bytes(data)
    make("1.0.0")


def test_without_guides_a_bundle_from_a_base_holds_changed_files_whole(
    tmp_path: Path, updater: DeltaUpdater
) -> None:
    source = MemorySource(FIRST, SECOND)
    updater.update(source, "1.0.0")
    plan = plan_bundle(source, BundleWish(TOOL_ID, "1.1.0", ("1.0.0",)))
    assert plan.needs.spans == {}
    assert set(plan.needs.whole.values()) == {len(MODEL), 3}
    updater.update(write_bundle(source, plan, tmp_path / "b")[0])
    check(updater, SECOND)
