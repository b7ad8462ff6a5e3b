"""Whole changed files over curl, found by a list of checksums; as they are, or by zstd -3."""

from __future__ import annotations

from pathlib import Path

import timing
from corpus import Pair

from peers.peer import Peer, Script

_SUMS = "SHA256SUMS"
# openssl, which is four times as fast as sha256sum of many a system. What is missing or differs is
# fetched over one connection; what the list does not name is removed.
_HASH = "openssl dgst -sha256 -r"
_WORKER = """set -eu
export LC_ALL=C
curl -sSf -o "$STATE/sums" "$URL/{sums}"
cut -c67- "$STATE/sums" | tr '\\n' '\\0' > "$STATE/names"
xargs -0 -r -a "$STATE/names" {hash} > "$STATE/have" 2>/dev/null || true
sort -o "$STATE/have" "$STATE/have"
comm -13 "$STATE/have" "$STATE/sums" | cut -c67- > "$STATE/changed"
cut -c67- "$STATE/sums" | sort > "$STATE/named"
find . -type f -printf '%P\\n' | sort > "$STATE/here"
comm -13 "$STATE/named" "$STATE/here" | tr '\\n' '\\0' | xargs -0 -r rm -f
{fetch}
"""
_PLAIN = """while read -r path; do
  printf 'url = "%s/%s"\\noutput = "%s"\\n' "$URL" "$path" "$path.new"
done < "$STATE/changed" > "$STATE/curl"
if [ -s "$STATE/curl" ]; then curl -sSf --create-dirs -g -K "$STATE/curl"; fi
while read -r path; do mv -f "$path.new" "$path"; done < "$STATE/changed\""""
_ZSTD = """while read -r path; do
  mkdir -p "$(dirname "$path")"
  curl -sSf -g "$URL/$path.zst" | zstd -dqf -o "$path.new"
  mv -f "$path.new" "$path"
done < "$STATE/changed\""""


class Whole(Peer):
    """What a plain updater does: every file that differs, whole."""

    name = "curl, whole changed files"
    figure = "curl"
    needs: tuple[str, ...] = ("curl", "openssl")
    fetch = _PLAIN

    def prepare(self, pair: Pair, shelf: Path) -> timing.Measured:
        """The files, and the list."""
        script = Script()
        for path in pair.new_digests:
            (shelf / path).parent.mkdir(parents=True, exist_ok=True)
            self.store(script, pair.new / path, shelf / path)
        names = shelf.with_name("names")
        names.write_bytes(b"".join(path.encode() + b"\0" for path in pair.new_digests))
        hashing: tuple[str | Path, ...] = ("xargs", "-0", "-a", names, *_HASH.split())
        script.add(*hashing, into=shelf / _SUMS, pipe="LC_ALL=C sort")
        return script.run(shelf.with_name("publish.sh"), pair.new)

    def store(self, script: Script, source: Path, target: Path) -> None:
        """Bring one file to the web server; its disk holds it already."""
        target.hardlink_to(source)

    def update(self, pair: Pair, shelf: Path, worker: Path, port: int) -> timing.Measured:
        """Check all, fetch what differs."""
        state = shelf.with_name("state")
        state.mkdir(exist_ok=True)
        text = _WORKER.format(sums=_SUMS, hash=_HASH, fetch=self.fetch)
        (state / "update.sh").write_text(text, "utf-8")
        environment = {"STATE": str(state), "URL": f"http://127.0.0.1:{port}"}
        return timing.measure(["sh", state / "update.sh"], environment, cwd=worker, private=True)


class Compressed(Whole):
    """The same, compressed when published."""

    name = "zstd -3, whole changed files"
    figure = "zstd -3"
    needs: tuple[str, ...] = ("curl", "openssl", "zstd")
    fetch = _ZSTD

    def store(self, script: Script, source: Path, target: Path) -> None:
        """Compress one file."""
        script.add("zstd", "-3", "-q", "-f", source, "-o", f"{target}.zst")
