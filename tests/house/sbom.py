"""What a release of BitStation installs, as CycloneDX 1.6: itself and the pins of run.txt.

    python dev.py sbom [--out FILE]

Standard library only, so that a release runs nothing more for it. The usual tool, cyclonedx-py,
names components by line, states their hashes as those of an index, and finds no version of ours.
The same commit gives the same bytes: no serial number, and the time is SOURCE_DATE_EPOCH or none.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from tests.house.pins import ROOT, Pin, load_pins

RUN = ROOT / "requirements/run.txt"


def main() -> None:
    """Write the SBOM to the file that was asked for, else to stdout."""
    parser = argparse.ArgumentParser(prog="dev.py sbom", description="CycloneDX 1.6, JSON")
    parser.add_argument("--out", type=Path, metavar="FILE", help="stdout without it")
    asked = parser.parse_args()
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not re.fullmatch(r"[0-9]{0,11}", epoch):
        parser.error(f"SOURCE_DATE_EPOCH {epoch!r} is not a number of seconds")
    sbom = encode_sbom(load_pins(RUN), own_version(), int(epoch) if epoch else None)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_bytes(sbom)
    else:
        sys.stdout.buffer.write(sbom)


def own_version() -> str:
    """The version of this package, as its build reads it."""
    source = (ROOT / "src/bitstation/__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert found, "src/bitstation/__init__.py states no __version__"
    return found[1]


def encode_sbom(pins: list[Pin], version: str, epoch: int | None) -> bytes:
    """The document; `epoch` is its time in seconds. Source: the JSON schema of CycloneDX 1.6."""
    itself = {
        "type": "application",
        # Generic: on no package index is this name ours.
        "bom-ref": f"pkg:generic/bitstation@{version}",
        "name": "bitstation",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "purl": f"pkg:generic/bitstation@{version}",
    }
    components = [component(pin) for pin in pins]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {**moment(epoch), "component": itself},
        "components": components,
        # All in one row: the pins do not say which of them asks for which.
        "dependencies": [
            {"ref": itself["bom-ref"], "dependsOn": [each["bom-ref"] for each in components]}
        ],
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def moment(epoch: int | None) -> dict[str, str]:
    """When it was made, if that is told."""
    if epoch is None:
        return {}
    return {"timestamp": datetime.fromtimestamp(epoch, UTC).isoformat()}


def component(pin: Pin) -> dict[str, object]:
    """One package, with the digest of each file that may be installed as it."""
    purl = f"pkg:pypi/{pin.name}@{quote(pin.version)}"
    told: dict[str, object] = {
        "type": "library",
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.sha256],
        "purl": purl,
    }
    if pin.marker:
        told["properties"] = [{"name": "bitstation:marker", "value": pin.marker}]
    return told


if __name__ == "__main__":
    main()
