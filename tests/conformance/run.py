"""The public suite of The Update Framework, on our client: ``python dev.py conformance CHECKOUT``.

CHECKOUT is a clone of theupdateframework/tuf-conformance, which is no part of this repository; what
follows goes to its pytest. Tests of expiration need ``faketime`` (a Debian package).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).with_name("tuf_client.py").resolve()


def main(arguments: list[str]) -> int:
    """Exit code of pytest; 2 where there is no checkout."""
    if not arguments or not (Path(arguments[0]) / "tuf_conformance").is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    checkout, *more = arguments
    folder = Path(checkout).resolve()
    # The suite starts the client as a command of its own, which must find this environment.
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    os.environ["PATH"] = os.pathsep.join(folders)
    sys.path.insert(0, str(folder))
    where = ["-c", str(folder / "pyproject.toml"), "--rootdir", str(folder)]
    return pytest.main(
        [*where, "--entrypoint", str(CLIENT), str(folder / "tuf_conformance"), *more]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
