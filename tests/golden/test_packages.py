"""Bytes that may never change: a version that was packed once must pack to the same bytes again."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from bitstation.core.digest import digest_of
from bitstation.publisher.zip_writer import has_common_deflate
from tests.engine.publisher_tools import FILES, pack, write_tool

MANIFEST_HASH = "6569c1134260b97ca8fc1ce5c0b43e6974aafe8577af72292880b6c759ed46a0"
PACKAGE = "a280aff4f4e5ed66de276e6fba3c9a47fef252a9624b5ab67c795666faf31be4"
FRONTEND = "40c1b232e348acc218af00403b734e64eda6f2dfc5b2c6939ef3a624c7bf6667"
CATALOG = "d3ee979d403c8748ba117d4d3c5611ea00e991ca1204a386aace961350c92116"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))


def test_a_publication_has_the_bytes_it_always_had(tmp_path: Path) -> None:
    pages = {"frontend/index.html": b"<p>caf\xc3\xa9</p>\n" * 50, "frontend/i.png": bytes(300)}
    folder = write_tool(tmp_path / "sample", {**FILES, **pages}, capabilities=["\u00e9"])
    (packed,) = pack(tmp_path / "dist", folder)
    assert packed.plan.manifest.manifest_hash == MANIFEST_HASH
    if has_common_deflate():
        digests = {
            path.name: digest_of(path.read_bytes()) for path in (tmp_path / "dist").iterdir()
        }
        assert digests["tool_sample_1.0.0.zip"] == PACKAGE
        assert digests["frontend_sample_1.0.0.zip"] == FRONTEND
        assert digests["catalog.json"] == CATALOG
    else:  # another library deflates: the same content in other bytes
        with zipfile.ZipFile(tmp_path / "dist" / "tool_sample_1.0.0.zip") as archive:
            assert {name: archive.read(name) for name in FILES} == FILES
