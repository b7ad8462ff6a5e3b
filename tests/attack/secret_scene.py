"""A machine on which every byte that is written can be searched for a secret."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

CANARY = "CANARY-4dbd1f7e-not-for-eyes"
USER = "mallory"


class Ended(NamedTuple):
    """A command that ended, and all it said."""

    code: int
    said: str


class SecretScene:
    """Runs commands in processes of their own; all they write to lies in one place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self._keepers: set[Path] = set()
        self._runs = 0
        self.environment = {
            **{name: value for name, value in os.environ.items() if _is_harmless(name)},
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "BITSTATION_ROOT": str(self.root),
            "BITSTATION_CACHE_DIR": str(folder / "cache"),
            "BITSTATION_LANG": "en",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        for name in ("home", "tmp", "said"):
            (folder / name).mkdir()

    def keeper(self, name: str, secret: str = CANARY) -> Path:
        """A file that holds a secret because its user put it there."""
        path = self.folder / name
        path.write_text(secret + "\n", "utf-8")
        self._keepers.add(path)
        return path

    def spare(self, path: Path) -> None:
        """A file that holds a secret by right."""
        self._keepers.add(path)

    def run(self, *words: object, **environment: str) -> Ended:
        """Run a command that says as much as it can; what it says is kept beside all else."""
        if words[:1] == ("update",):
            # These releases are of no account, and nobody signs them.
            words = (*words, "--allow-unsigned")
        self._runs += 1
        command = [sys.executable, "-P", "-m", "bitstation", *map(str, words), "-v"]
        done = subprocess.run(
            command,
            capture_output=True,
            env={**self.environment, **environment},
            cwd=self.folder,
            check=False,
            timeout=120,
        )
        said = done.stdout + done.stderr
        (self.folder / "said" / str(self._runs)).write_bytes(said)
        return Ended(done.returncode, said.decode("utf-8", "replace"))

    def found(self, *secrets: str) -> list[str]:
        """Files, by name, in which a secret stands in any form in which we send it."""
        forms = [form for secret in secrets or (CANARY,) for form in _forms(secret)]
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert len(files) > 1, "something was written"
        return [
            f"{path.relative_to(self.folder)}: {path.read_bytes()[:2000]!r}"
            for path in files
            if path not in self._keepers and any(form in path.read_bytes() for form in forms)
        ]


def _forms(secret: str) -> list[bytes]:
    plain = secret.encode()
    return [plain, base64.b64encode(plain), base64.b64encode(f"{USER}:{secret}".encode())]


def _is_harmless(name: str) -> bool:
    return not name.startswith("BITSTATION_") and not name.lower().endswith("_proxy")
