"""What HQ keeps in memory is never older than the last commit, whoever reads while it commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitstation.core.catalog import parse_catalog
from bitstation.core.mirror import parse_offer
from bitstation.hq.guides import Guides
from bitstation.hq.headquarters import Headquarters
from bitstation.hq.offers import Wish
from bitstation.storage.blobs import Upload
from tests.integration.hq_requests import manifest_of


def send(hq: Headquarters, version: str) -> str:
    """Session of a release whose files are there."""
    data = version.encode()
    session = hq.sessions.open(manifest_of({"a.txt": data}, "add", version).encode())
    for blob in session.wanted:
        upload = hq.sessions.upload(session.session_id, blob.sha256)
        assert isinstance(upload, Upload)
        with upload:
            upload.write(data)
            upload.finish()
    return session.session_id


def test_a_reader_in_the_middle_of_a_commit_does_not_keep_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = Wish("add", None, "stable")
    with Headquarters(tmp_path) as hq:
        hq.sessions.commit(send(hq, "1.0.0"))
        later = send(hq, "1.1.0")
        real = Guides.add

        def looked_at(guides: Guides, *given: object) -> None:
            real(guides, *given)  # type: ignore[arg-type]
            seen.append((hq.listing.catalog(), hq.offers.load(wish)))

        seen: list[tuple[bytes, bytes]] = []
        monkeypatch.setattr(Guides, "add", looked_at)
        hq.sessions.commit(later)
        [(catalog, offer)] = seen
        assert parse_catalog(catalog).tools[0].latest == "1.0.0"
        assert parse_offer(offer).version == "1.0.0"
        assert parse_catalog(hq.listing.catalog()).tools[0].latest == "1.1.0"
        assert hq.offers.cached(wish) is None
        assert parse_offer(hq.offers.load(wish)).version == "1.1.0"
        assert hq.offers.cached(wish) == hq.offers.load(wish)


def test_a_requirement_is_told_at_once(tmp_path: Path) -> None:
    wish = Wish("add", None, "stable")
    with Headquarters(tmp_path) as hq:
        for version in ("1.0.0", "1.1.0"):
            hq.sessions.commit(send(hq, version))
        assert parse_offer(hq.offers.load(wish)).version == "1.1.0"
        hq.requirements.require("add", "1.0.0", "stable")
        assert hq.offers.cached(wish) is None
        found = parse_offer(hq.offers.load(wish))
        assert (found.version, found.required) == ("1.0.0", True)
        other = Wish("add", None, "b" * 100)
        hq.offers.load(other)
        assert hq.offers.cached(other) is None, "made-up names fill no memory"
