"""The SBOM: what a release installs and nothing else, the same at each making, and well formed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement

import bitstation
from tests.house.pins import ROOT, entries, parse_pin

RUN = ROOT / "requirements/run.txt"
HASH = "0" * 64


def made(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`python dev.py sbom`, as a release runs it."""
    inherited = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, str(ROOT / "dev.py"), "sbom", *arguments]
    return subprocess.run(
        command, capture_output=True, check=False, env={**inherited, **environment}
    )


@pytest.fixture(scope="module")
def sbom() -> bytes:
    run = made()
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def document(sbom: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(sbom)
    return parsed


def test_it_lists_exactly_the_pins_of_a_release_each_with_its_hashes(
    document: dict[str, Any],
) -> None:
    pinned = {}
    for entry in entries(RUN):
        requirement = Requirement(entry.split(" --hash")[0])
        digests = re.findall("--hash=sha256:([0-9a-f]+)", entry)
        pinned[f"{requirement.name}{requirement.specifier}"] = digests
    listed = {
        f"{each['name']}=={each['version']}": [row["content"] for row in each["hashes"]]
        for each in document["components"]
    }
    assert listed == pinned
    assert len(document["components"]) == len(pinned)
    # Nothing that the file pins got lost on the way to `pinned` either.
    assert sum(map(len, listed.values())) == RUN.read_text("utf-8").count("--hash=")


def test_it_says_where_a_pin_holds(document: dict[str, Any]) -> None:
    zstd = next(each for each in document["components"] if each["name"] == "backports-zstd")
    assert zstd["properties"] == [
        {"name": "bitstation:marker", "value": "python_full_version < '3.14'"}
    ]


def test_it_is_about_this_version_of_bitstation(document: dict[str, Any]) -> None:
    itself = document["metadata"]["component"]
    assert (itself["name"], itself["version"]) == ("bitstation", bitstation.__version__)
    (row,) = document["dependencies"]
    assert row["ref"] == itself["bom-ref"]
    assert row["dependsOn"] == [each["bom-ref"] for each in document["components"]]


def test_made_twice_it_is_the_same_and_has_the_time_that_it_was_given(
    sbom: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "bitstation.cdx.json"
    assert made("--out", str(out), PYTHONHASHSEED="7").returncode == 0
    assert out.read_bytes() == sbom
    dated = made(SOURCE_DATE_EPOCH="1772280000").stdout
    assert json.loads(dated)["metadata"]["timestamp"] == "2026-02-28T12:00:00+00:00"
    assert dated == made(SOURCE_DATE_EPOCH="1772280000").stdout
    assert invalid(dated) is None


def test_it_is_valid_and_one_broken_digest_would_be_noticed(sbom: bytes) -> None:
    assert invalid(sbom) is None
    digest = parse_pin(entries(RUN)[0]).sha256[0].encode()
    assert invalid(sbom.replace(digest, digest[:-1])) is not None


def invalid(sbom: bytes) -> object:
    """What the reference reader holds against it; None where nothing."""
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.decode())


def test_its_addresses_are_in_canonical_form(document: dict[str, Any]) -> None:
    every = [document["metadata"]["component"], *document["components"]]
    for purl in [each["purl"] for each in every]:
        assert PackageURL.from_string(purl).to_string() == purl


def test_a_moment_that_is_none_is_refused() -> None:
    run = made(SOURCE_DATE_EPOCH="yesterday")
    assert run.returncode == 2
    assert b"SOURCE_DATE_EPOCH" in run.stderr


@pytest.mark.parametrize(
    "entry",
    [
        "a==1",
        f"a>=1 --hash=sha256:{HASH}",
        f"a==1 --hash=md5:{HASH[:32]}",
        f"a==1 --hash=sha256:{HASH[1:]}",
        f"a==1 --hash=sha256:{HASH} --no-binary",
    ],
)
def test_a_line_that_is_no_hashed_pin_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="not a hashed pin"):
        parse_pin(entry)
