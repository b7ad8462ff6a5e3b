"""Making a release from what is damaged, stopped, short of disk or of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bitstation.core.digest import Digest, digest_of
from bitstation.errors import MissingExtra, UpdateCancelled
from bitstation.storage.hashing import Stop
from bitstation.testing.faulty_disk import FaultyDisk
from bitstation.testing.memory_source import MemorySource, other_bytes, unreachable
from bitstation.testing.releases import make_release
from tests.engine.making import (
    MIB,
    OLD,
    OLD_FILES,
    changed,
    edited,
    noise,
    text,
)
from tests.unit.rebuilding import Published, make, rebuild, silent


@pytest.mark.parametrize("harm", ["damaged", "cut off", "gone"])
def test_a_base_that_is_not_what_it_was_gives_no_patch(
    old: Published, tmp_path: Path, harm: str
) -> None:
    path, data = "bin/libcore.so.2600", OLD_FILES["bin/libcore.so.2600"]
    source = MemorySource(OLD)
    digest = digest_of(data)
    if harm == "damaged":
        source.lie(digest, other_bytes)
    elif harm == "gone":
        source.drop(digest)
    else:
        source.fail(digest, *[unreachable()] * 9)
    library = b"new start" + data[9:250_000] + data[251_000:] + b"end"
    target = make_release({**OLD_FILES, path: library}, "1.1.0")
    made = make(target, tmp_path, old.known(source))
    assert made.made.figures.patches == 0
    cost = rebuild(made, old)
    assert cost.forms > 0


def test_a_release_whose_file_cannot_be_read_is_an_error(old: Published, tmp_path: Path) -> None:
    target = changed(data__other_bin=noise(300_000, 55))
    source = MemorySource(target)
    source.fail(digest_of(noise(300_000, 55)), unreachable())
    with pytest.raises(type(unreachable())):
        make(target, tmp_path, old.known(), source=source)
    assert list(tmp_path.iterdir()) == []


def test_stopped_half_way_it_leaves_nothing(old: Published, tmp_path: Path) -> None:
    target = changed(
        data__a_bin=text(400_000, 61),
        bin__libcore_so_2600=edited(OLD_FILES["bin/libcore.so.2600"], 8_000, noise(50_000, 3)),
    )
    counting = MemorySource(target)
    make(target, tmp_path, old.known(), source=counting)
    for number in range(1, len(counting.asked) + 1):
        stop, source = Stop(), MemorySource(target)

        def set_at(_asked: object, number: int = number, stop: Stop = stop) -> None:
            if len(source.asked) == number:  # noqa: B023 - called before the next round
                stop.set()

        source.before_open = set_at
        try:
            make(target, tmp_path, old.known(), source=source, stop=stop)
        except UpdateCancelled:
            assert list(tmp_path.iterdir()) == []
        else:
            assert number > 3


def test_a_disk_that_fails_leaves_nothing_but_what_it_cannot_remove(
    old: Published, tmp_path: Path
) -> None:
    target = changed(data__a_bin=text(400_000, 61))
    from bitstation.errors import StoreError
    from bitstation.recipes.release import make_release as making

    for number in range(1, 30):
        disk = FaultyDisk(fail_at=number)
        try:
            made = making(
                target.manifest,
                target.manifest.encode(),
                MemorySource(target),
                [old.known()],
                work=tmp_path / "work",
                cache=None,
                disk=disk,
                stop=Stop(),
                progress=silent,
            )
        except StoreError:
            left = list((tmp_path / "work").glob("*"))
            assert left == [] or disk.calls[-1].startswith("remove")
        else:
            assert number > 3
            break
        for path in (tmp_path / "work").glob("*"):
            path.unlink()
    else:
        pytest.fail("every number of calls fails")
    assert all(pack.path.is_file() for pack in made.packs)


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyfastcdc", None)
    with pytest.raises(MissingExtra) as caught:
        make(OLD, tmp_path)
    assert caught.value.advice() == 'install them with: pip install "bitstation[publish]"'
    assert list(tmp_path.iterdir()) == []
    # Models and small files need no chunks.
    files = {path: data for path, data in OLD_FILES.items() if len(data) < 65_000}
    rebuild(make(make_release({**files, "w.gguf": OLD_FILES["weights.gguf"]}), tmp_path))


MEMORY = """
import resource, sys
from pathlib import Path
from bitstation.codec.guiding import Papers
from bitstation.core.atlas import parse_atlas
from bitstation.core.manifest import parse_manifest
from bitstation.recipes.release import Known, make_release
from bitstation.storage.durable import Disk
from bitstation.recipes import mapping
from bitstation.storage.hashing import Stop
from bitstation.transport.folder import FolderSource

def made(folder, bases, work):
    data = (folder / "manifest.json").read_bytes()
    manifest = parse_manifest(data)
    source = FolderSource(folder)
    found = make_release(
        manifest, data, source, bases,
        work=work, cache=None, disk=Disk(), stop=Stop(), progress=lambda *_: lambda _: None,
    )
    papers = Papers(data, found.atlas_bytes)
    return found, Known(manifest, papers, parse_atlas(found.atlas_bytes), source)

old, new, work = map(Path, sys.argv[1:])
_, base = made(old, [], work / "old")
found, _ = made(new, [base], work / "new")
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0])
print(peak * 1024, found.figures.patches, len(found.guides[-1].data))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: /proc tells the peak of memory")
def test_memory_stays_bounded_for_files_of_any_size(tmp_path: Path) -> None:
    """A sparse file of 200 MB, and a library of 40 MB whose next version needs a large patch."""
    library = noise(40 * MIB, 1)
    for side, data in (("old", library), ("new", b"ahead" + edited(library, 20 * MIB, b"x" * 99))):
        folder = tmp_path / side
        folder.mkdir()
        with (folder / "sparse.bin").open("wb") as file:
            file.truncate(200_000_000)
            file.seek(150_000_000)
            file.write(side.encode())
        (folder / "lib.so").write_bytes(data)
        _write_manifest(folder, side)
    command = [
        sys.executable,
        "-c",
        MEMORY,
        *(str(tmp_path / each) for each in ("old", "new", "w")),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, patches, guide_bytes = map(int, done.stdout.split())
    assert patches >= 1
    assert guide_bytes < 6_000
    assert peak < 300_000_000


def _write_manifest(folder: Path, side: str) -> None:
    from bitstation.core.manifest import Entry, build_manifest

    files = [path for path in folder.iterdir() if path.is_file()]
    entries = [
        Entry(path.name, Digest(digest_of(path.read_bytes())), path.stat().st_size)
        for path in files
    ]
    version = {"old": "1.0.0", "new": "1.1.0"}[side]
    manifest = build_manifest("big", version, entries, created_at="2026-01-01T00:00:00Z", fields={})
    (folder / "manifest.json").write_bytes(manifest.encode())
