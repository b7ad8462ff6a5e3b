"""Mirrors, static web servers and bundles, made for tests without the code that makes them."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bitstation.core.digest import Digest
from bitstation.core.mirror import BLOBS, encode_offer
from bitstation.testing.releases import Release
from bitstation.testing.scripted_hq import layout_of, offer_of

Guided = tuple[Digest | None, bytes]


def write_mirror(root: Path, release: Release, *guides: Guided) -> Path:
    """Root of a mirror that holds one release."""
    for path, data in layout_of(release, *guides).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def bundle_members(release: Release, *guides: Guided) -> dict[str, bytes]:
    """Members of a bundle of a whole release; guides are given as base and bytes."""
    blobs = {
        path.replace(BLOBS, "blobs/sha256"): data
        for path, data in layout_of(release, *guides).items()
        if path.startswith(BLOBS)
    }
    return {"offer.json": encode_offer(offer_of(release, *guides)), **blobs}


def write_bundle(path: Path, release: Release, *guides: Guided) -> Path:
    """A bundle of a whole release."""
    return write_zip(path, bundle_members(release, *guides))


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """A ZIP of these members, in this order."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


class Ranged(SimpleHTTPRequestHandler):
    """Python's own static server, with ranges, which it lacks; it says nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    has_ranges = True

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not first or not path.is_file() or not self.has_ranges:
            super().do_GET()
            return
        data = path.read_bytes()
        end = min(int(last) + 1 if last else len(data), len(data))
        if int(first) >= len(data):
            self.send_error(416)
            return
        self.send_response(206)
        self.send_header("Content-Length", str(end - int(first)))
        self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(data[int(first) : end])


class Plain(Ranged):
    """Python's own static server: whoever asks for a range gets the whole."""

    has_ranges = False


@contextmanager
def static_server(root: Path, handler: type[Ranged] = Ranged) -> Iterator[str]:
    """Address of a web server that knows nothing of HQs; below it lies ``root``."""
    serving = partial(handler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
