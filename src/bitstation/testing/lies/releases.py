"""The releases that attacks are about."""

from __future__ import annotations

from bitstation.testing.releases import make_release

MODEL = bytes(range(256)) * 4000  # 1.02 MB
OLD = make_release({"run.py": b"print('old')", "same": b"same"}, "1.0.0")
NEW = make_release({"run.py": b"print('new')", "same": b"same", "models/m.bin": MODEL}, "1.1.0")
EVIL = make_release({"run.py": b"print('evil')", "same": b"same"}, "1.1.0")
