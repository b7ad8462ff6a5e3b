"""What lies inside a release's files arrives from every source; damage to it costs bytes only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from msgspec import structs

from bitstation.codec.guiding import Papers
from bitstation.core.assets import guide_name, package_name
from bitstation.core.digest import digest_of
from bitstation.core.mirror import blob_path, encode_offer, offer_path
from bitstation.testing.mapped import Mapped, guide_to, map_release
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.scripted_hq import ScriptedHq, offer_of, source_of
from bitstation.testing.web_server import serving
from bitstation.transport.bundle import BundleSource
from bitstation.transport.hq import HqClient, HqSource
from bitstation.transport.mirror import MirrorSource
from bitstation.transport.package import PackageSource
from bitstation.transport.source import Source
from tests.contract.layouts import (
    Guided,
    bundle_members,
    static_server,
    write_bundle,
    write_mirror,
    write_zip,
)

MODEL = os.urandom(20_000)
BASE = map_release(make_release({"m.bin": MODEL, "a.txt": b"old"}, "1.0.0"))
TARGET = map_release(make_release({"m.bin": MODEL[::-1], "a.txt": b"new"}, "1.1.0"))
BASE_HASH = BASE.release.manifest.manifest_hash
MANY: tuple[Guided, ...] = ((None, guide_to(TARGET)), (BASE_HASH, guide_to(TARGET, BASE)))

Make = Callable[..., Source]


class Knows:
    """A machine that has one release."""

    def __init__(self, mapped: Mapped) -> None:
        self._mapped = mapped

    def papers(self, manifest_hash: str) -> Papers | None:
        is_it = manifest_hash == self._mapped.release.manifest.manifest_hash
        return self._mapped.papers if is_it else None


@pytest.fixture(params=["hq", "static web server", "mirror", "bundle", "package"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Sources of one kind, given the guides that they have."""
    with ExitStack() as opened:

        def make_one(*guides: Guided) -> Source:
            release = TARGET.release
            match request.param:
                case "hq":
                    server = opened.enter_context(serving(ScriptedHq(release, guides=guides)))
                    return opened.enter_context(source_of(server))
                case "static web server":
                    root = write_mirror(tmp_path / "mirror", release, *guides)
                    url = opened.enter_context(static_server(root))
                    return opened.enter_context(closing(HqSource(HqClient(url))))
                case "mirror":
                    return MirrorSource(write_mirror(tmp_path / "mirror", release, *guides))
                case "bundle":
                    return BundleSource(write_bundle(tmp_path / "b", release, *guides))
            members = {"manifest.json": release.manifest.encode(), **release.files}
            path = write_zip(tmp_path / package_name(TOOL_ID, "1.1.0"), members)
            for base, guide in guides:
                if base is None:
                    (tmp_path / guide_name(TOOL_ID, "1.1.0")).write_bytes(guide)
            return PackageSource(path)

        yield make_one


def test_its_atlas_arrives(make: Make) -> None:
    found = make(*MANY).resolve(TOOL_ID, None)
    assert found.manifest == TARGET.release.manifest
    assert found.guidance.atlas == TARGET.atlas
    assert found.guidance.received_bytes == len(MANY[0][1])


def test_a_release_that_is_here_shortens_the_way(make: Make) -> None:
    source = make(*MANY)
    found = source.resolve(TOOL_ID, None, known=Knows(BASE))
    assert found.guidance.atlas == TARGET.atlas
    shortest = (
        MANY[0][1] if isinstance(source, PackageSource) else min(MANY[0][1], MANY[1][1], key=len)
    )
    assert found.guidance.received_bytes == len(shortest)


def test_what_is_installed_already_is_not_read_again(make: Make) -> None:
    found = make(*MANY).resolve(TOOL_ID, None, known=Knows(TARGET))
    if found.guidance.received_bytes:
        # A package does not tell the hash of its manifest before it is read.
        assert found.guidance.received_bytes == len(MANY[0][1])
    assert found.manifest == TARGET.release.manifest


@pytest.mark.parametrize(
    "damaged",
    [b"", b"BSGD", MANY[0][1][:-1], MANY[0][1] + b"x", b"x" * 200, guide_to(BASE), MANY[1][1]],
    ids=["empty", "head", "cut", "longer", "noise", "elsewhere", "from a base"],
)
def test_a_damaged_guide_costs_bytes_only(make: Make, damaged: bytes) -> None:
    found = make((None, damaged)).resolve(TOOL_ID, None)
    assert found.manifest == TARGET.release.manifest
    assert found.guidance.atlas_bytes == b""


def test_no_guide_is_as_good(make: Make) -> None:
    found = make().resolve(TOOL_ID, None)
    assert found.manifest_bytes == TARGET.release.manifest.encode()
    assert found.guidance.atlas_bytes == b""


def test_a_guide_that_changed_on_the_disk_costs_bytes_only(tmp_path: Path) -> None:
    root = write_mirror(tmp_path, TARGET.release, *MANY)
    (root / blob_path(digest_of(MANY[0][1]))).write_bytes(b"x" * len(MANY[0][1]))
    found = MirrorSource(root).resolve(TOOL_ID, None)
    assert found.manifest == TARGET.release.manifest
    assert found.guidance.atlas_bytes == b""


def test_only_an_hq_may_require_a_release(tmp_path: Path) -> None:
    stated = encode_offer(structs.replace(offer_of(TARGET.release), required=True))
    root = write_mirror(tmp_path / "mirror", TARGET.release)
    (root / offer_path(TOOL_ID)).write_bytes(stated)
    members = {**bundle_members(TARGET.release), "offer.json": stated}
    bundle = BundleSource(write_zip(tmp_path / "b", members))
    # It would let an older release in.
    assert not MirrorSource(root).resolve(TOOL_ID, None).required
    assert not bundle.resolve(TOOL_ID, None).required


def test_only_what_costs_no_network_is_local(make: Make) -> None:
    source = make(*MANY)
    assert source.is_local is not isinstance(source, HqSource)
