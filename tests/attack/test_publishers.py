"""X11 and X12: publishers beside each other, and beside those who read."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.publisher.freight import wishes_in
from bitstation.publisher.manifest import MakingOptions
from bitstation.publisher.publish import Publisher
from bitstation.publisher.static_destination import StaticDestination
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.local_hq import local_hq
from bitstation.testing.releases import TOOL_ID, UNSIGNED, Release, make_release
from bitstation.transport.mirror import MirrorSource
from tests.attack.beside import all_at_once, follow, publish_once
from tests.attack.updates import is_current

LARGE = bytes(range(256)) * 1100


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))


def shelves(folder: Path, *, version: str = "1.0.0") -> tuple[Release, list[Path]]:
    """The same release in three folders."""
    release = make_release({"model.bin": LARGE, "a": b"1"}, version)
    return release, [release.write(folder / f"shelf-{number}") for number in range(3)]


def test_x11_publishers_to_one_folder(tmp_path: Path) -> None:
    """One does it, the others are told to wait, or find it done."""
    release, folders = shelves(tmp_path)
    mirror = tmp_path / "mirror"
    said = all_at_once(publish_once, [(folder, str(mirror), "") for folder in folders])
    ends = {each.partition(": ")[2] for each in said}
    assert "done" in ends <= {"done", "locked"}
    updater = DeltaUpdater(tmp_path / "root" / TOOL_ID, disk=QuickDisk(), options=UNSIGNED)
    updater.update(MirrorSource(mirror))
    is_current(updater, release)


def test_x11_publishers_to_one_hq(tmp_path: Path) -> None:
    """Of one release, and of another one under its version: who is first decides for all."""
    _release, folders = shelves(tmp_path)
    other = make_release({"a": b"other"}, "1.0.0").write(tmp_path / "other")
    with local_hq(tmp_path / "hq") as hq:
        ends = all_at_once(
            publish_once, [(folder, hq.url, hq.token) for folder in (*folders, other)]
        )
        updater = DeltaUpdater(tmp_path / "root" / TOOL_ID, disk=QuickDisk(), options=UNSIGNED)
        updater.update(hq.url)
    same = [f"shelf-{number}" for number in range(3)]
    first, refused = (["other"], same) if "other: done" in ends else (same, ["other"])
    assert sorted(ends) == sorted(
        [*(f"{name}: done" for name in first), *(f"{name}: publish-refused" for name in refused)]
    )
    assert updater.verify(deep=True).damaged == ()


def test_x12_publishing_while_a_worker_updates(tmp_path: Path) -> None:
    """At each moment a worker sees one release or the next, and all that it consists of."""
    ledger = Ledger(tmp_path / "ledger")
    mirror = tmp_path / "mirror"
    releases = [
        make_release({"model.bin": LARGE + b"%d" % n, "same": b"s", "n": b"%d" % n}, f"1.{n}.0")
        for n in range(12)
    ]

    def publish(release: Release) -> None:
        shelf = release.write(tmp_path / release.version)
        destination = StaticDestination(mirror, ledger, Stop(), QuickDisk())
        try:
            [wish] = wishes_in(shelf, MakingOptions())
            Publisher(destination, ledger, Stop(), bases=0).publish(wish)
        finally:
            destination.close()

    publish(releases[0])
    tool, ends = tmp_path / "root" / TOOL_ID, []
    arguments = [(tool, mirror, releases[-1].version)]
    worker = threading.Thread(target=lambda: ends.extend(all_at_once(follow, arguments)))
    worker.start()
    while not tool.exists() and worker.is_alive():
        worker.join(0.01)
    for release in releases[1:]:
        publish(release)
    worker.join(60)
    ledger.close()
    assert ends == ["done"]
    is_current(DeltaUpdater(tool, options=UNSIGNED), releases[-1])
