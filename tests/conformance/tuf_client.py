#!/usr/bin/env python3
"""What the public suite tuf-conformance drives: our chain of trust, as a client of any repository.

The suite sees exit codes, the folder of metadata, the folder of files and our requests. See README.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from urllib.parse import quote, unquote

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TargetFile

from bitstation.errors import BitStationError, SourceError
from bitstation.transport.http import HttpClient
from bitstation.trust.believed import Believed, ReadMetadata
from bitstation.trust.chain import Chain
from bitstation.trust.roles import ROOT, SNAPSHOT, TIMESTAMP

TOP = (ROOT, TIMESTAMP, SNAPSHOT)
MAX_FILE_BYTES = 64 << 20


class Folder:
    """Believed metadata as the suite looks for them: a file a role, named without a version."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Believed:
        """What was kept; names of files are quoted, for a role may be called anything."""
        found = {unquote(path.stem): path.read_bytes() for path in self._path.glob("*.json")}
        top = [found.pop(role, b"") for role in TOP]
        return Believed(*top, found)

    def keep(self, believed: Believed) -> None:
        """Write what is believed now, whether the refresh went well or not."""
        top = (believed.root, believed.timestamp, believed.snapshot)
        for role, data in {**believed.targets, **dict(zip(TOP, top, strict=True))}.items():
            if data:
                (self._path / f"{quote(role, '')}.json").write_bytes(data)


def reading(url: str) -> ReadMetadata:
    """Metadata by HTTP; None where the server has none: the suite answers 404."""
    client = HttpClient(url.rstrip("/") + "/")

    def read(name: str, max_bytes: int) -> bytes | None:
        answer = client.request("GET", name, max_bytes=max_bytes)
        if answer.status in (403, 404):
            return None
        if answer.status != 200:
            raise SourceError(source=client.name, detail=f"status {answer.status}")
        return answer.body

    return read


def download(chain: Chain, name: str, base_url: str, folder: Path) -> None:
    """Bring one file, unless it is there. Raises BitStationError, or tuf's for wrong bytes."""
    found = chain.find(name)
    if found is None:
        raise SourceError(source=base_url, detail=f"nobody signed {name}")
    target, _role = found
    place = folder / quote(name, "")
    if place.is_file():
        try:
            return target.verify_length_and_hashes(place.read_bytes())
        except RepositoryError:
            place.unlink()
    client = HttpClient(base_url.rstrip("/") + "/")
    path = stored_name(target) if chain.root.consistent_snapshot else target.path
    answer = client.request("GET", path, max_bytes=min(target.length, MAX_FILE_BYTES))
    if answer.status != 200:
        raise SourceError(source=client.name, detail=f"status {answer.status}")
    target.verify_length_and_hashes(answer.body)
    place.write_bytes(answer.body)


def stored_name(target: TargetFile) -> str:
    """Path of a file in a repository that keeps every state of it."""
    folder, slash, name = target.path.rpartition("/")
    return f"{folder}{slash}{next(iter(target.hashes.values()))}.{name}"


def main() -> int:
    """Exit 0 when all went well, else 1."""
    args = parsed()
    folder = Folder(args.metadata_dir)
    if args.command == "init":
        folder.keep(Believed(args.trusted_root.read_bytes()))
        return 0
    chain = Chain(folder.load(), reading(args.metadata_url))
    try:
        chain.refresh()
        for name in args.target_name:
            download(chain, name, args.target_base_url, args.target_dir)
    finally:
        folder.keep(chain.believed)
    return 0


def parsed() -> argparse.Namespace:
    """The command line of the suite's CLIENT-CLI.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metadata-url")
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-dir", type=Path)
    parser.add_argument("--target-base-url")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("trusted_root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        sys.exit(main())
    except (BitStationError, RepositoryError) as error:
        sys.exit(f"tuf_client: {type(error).__name__}: {error}")
