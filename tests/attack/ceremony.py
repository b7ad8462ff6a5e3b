"""Keys made by the command and a worker who joined by them; and owners who keep theirs apart."""

from __future__ import annotations

from pathlib import Path

from bitstation import BitStationError, DeltaUpdater
from bitstation.cli.main import main
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.trust.keyring import Keyring
from bitstation.trust.place import Place
from bitstation.trust.roles import ONLINE_LIFE
from bitstation.trust.signing import ReleaseName

FIRST = make_release({"a": b"1"}, "1.0.0")
SECOND = make_release({"a": b"2"}, "1.1.0")
THIRD = make_release({"a": b"3"}, "1.2.0")
PASSPHRASE = "correct horse battery staple"


class Ceremony:
    """A folder of keys made by the command, and a worker who joined by it."""

    def __init__(self, folder: Path) -> None:
        self.keys = folder / "keys"
        self.worker = DeltaUpdater(folder / "tools" / TOOL_ID, disk=QuickDisk())

    def command(self, *words: str) -> int:
        return main(["keys", *words, "--keys", str(self.keys), "--lang", "en", "-q"])

    def place(self) -> Place:
        keyring = Keyring(self.keys, lambda _name: PASSPHRASE, QuickDisk())
        return Place(self.keys / "metadata", keyring, ONLINE_LIFE, disk=QuickDisk())

    def publish(self, release: Release) -> None:
        self.place().sign(ReleaseName.of(release.manifest))

    def join(self) -> int:
        root = max((self.keys / "metadata").glob("*.root.json"))
        words = ("join", str(root), "--yes", "--root", str(self.worker.root.path), "-q")
        return main(list(words))

    def update(self, *releases: Release) -> str:
        """Version that is current then, or the code of the error."""
        source = MemorySource(*releases)
        files = (self.keys / "metadata").glob("*.json")
        source.metadata = {path.name: path.read_bytes() for path in files}
        try:
            self.worker.update(source)
        except BitStationError as error:
            return error.code
        return str(self.worker.tree.current_version())


OWNERS = ("ana", "ben", "eva")


class Apart:
    """A place whose owners each took their key away to a machine of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ceremony = Ceremony(folder / "hq")
        self.draft = self.ceremony.keys / "draft"

    def part(self) -> None:
        for name in OWNERS:
            (self.folder / name).mkdir()
            (self.ceremony.keys / f"{name}.pem").rename(self.folder / name / f"{name}.pem")

    def sign(self, who: str, *words: str, draft: Path | None = None) -> int:
        keys = str(self.folder / who)
        given = ["keys", "sign", str(draft or self.draft), "--keys", keys, "--lang", "en"]
        return main([*given, *(words or ("--yes",))])

    def take_in(self) -> int:
        return self.ceremony.command("sign", str(self.draft), "--yes")

    def update(self) -> str:
        return self.ceremony.update(FIRST, SECOND)

    def metadata(self) -> dict[str, bytes]:
        folder = self.ceremony.keys / "metadata"
        return {path.name: path.read_bytes() for path in folder.glob("*.json")}
