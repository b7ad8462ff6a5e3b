"""Writes the seeds of the corpus anew: one small well-formed input of each kind, and some lies.

python -m tests.fuzz.sow
"""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import msgspec

from bitstation.codec.blocks import pack_block
from bitstation.codec.guiding import fold
from bitstation.codec.zstd import patch_from
from bitstation.core.adopted import Adopted, encode_adopted
from bitstation.core.bundle import BundleOffer
from bitstation.core.digest import digest_of
from bitstation.core.guide import encode_guide
from bitstation.core.lifecycle import Step
from bitstation.core.recipe import Codec, encode_recipes
from bitstation.core.wire import BaseRef, BlobRef, GuideRef, ReleaseOffer
from bitstation.storage.journal import Begin, BlockPart, BlocksDone, EntryDone, StepBegun, _line
from bitstation.trust.signing import File
from tests.fuzz.signed_place import FIRST, NEXT, PLACE
from tests.fuzz.targets.frames import BASE
from tests.fuzz.targets.guide import BASE as PAPERS
from tests.fuzz.targets.zip_archive import MANIFEST
from tests.unit.model_files import Tensor, gguf, key_value, safetensors
from tests.unit.test_plan import PLAN
from tests.unit.test_recipe import SMALL as RECIPES

CORPUS = Path(__file__).parent / "corpus"
GOLDEN = Path(__file__).parents[1] / "golden"
A, B = digest_of(b"a"), digest_of(b"b")


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}-v1.hex").read_text("ascii"))


def archive(method: int, *, streamed: bool = False) -> bytes:
    class Unseekable(BytesIO):
        def seekable(self) -> bool:
            return not streamed

        def seek(self, *where: int) -> int:
            if streamed:
                raise OSError
            return super().seek(*where)

    file = Unseekable()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in {"a.txt": b"a", "b/c.bin": bytes(40)}.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = method
            made.writestr(info, content)
    return file.getvalue()


def answer(head: str, body: bytes = b"") -> bytes:
    return b"\x01" + head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


def answers() -> dict[str, bytes]:
    whole = answer('HTTP/1.1 200 OK\nContent-Length: 5\nETag: "x"', b"hello")
    part = answer(
        "HTTP/1.1 206 Partial Content\nContent-Range: bytes 0-4/9\nContent-Length: 5", b"hello"
    )
    return {
        "whole": whole,
        "whole-to-its-end": b"\x00" + whole[1:],
        "part": part,
        "part-in-the-midst": b"\x02"
        + answer("HTTP/1.1 206 P\nContent-Range: bytes 3-6/9\nContent-Length: 4", b"lloo")[1:],
        "chunked": answer(
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"
        ),
        "redirect": answer("HTTP/1.1 302 Found\nLocation: /there\nContent-Length: 0"),
        "elsewhere": answer("HTTP/1.1 307 T\nLocation: http://169.254.169.254/\nContent-Length: 0"),
        "continued": answer("HTTP/1.1 100 Continue", whole[1:]),
        "two-lengths": answer("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6", b"hello!"),
        "busy": answer("HTTP/1.1 503 S\nRetry-After: 9\nContent-Length: 0"),
        "packed": answer("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 1", b"x"),
        "old": answer("HTTP/1.0 200 OK", b"hello"),
        "redirect-with-a-query": answer("HTTP/1.1 302 F\nLocation: /a?ü\nContent-Length: 0"),
        "length-for-some-readers": b"\x02"
        + answer("HTTP/1.1 206 P\nContent-Range: bytes 3-6/9\nContent-Length: 4\x1d", b"lloo")[1:],
        "chunk-of-minus-one": answer(
            "HTTP/1.1 400\nTransfer-Encoding: chunked", b"2\r\nhe\r\n-1\r\nmore than was asked for"
        ),
        "none": answer("HTTP/1.1 416 R\nContent-Range: bytes */9\nContent-Length: 0"),
    }


def requests() -> dict[str, bytes]:
    def asked(*lines: str) -> bytes:
        return (100).to_bytes(2, "little") + "\n".join(lines).encode()

    offer = {"version": "1.0.0", "channel": "stable"}
    guides = {"guides": [{"sha256": A, "size": 3, "base": B}], "packs": [{"sha256": B, "size": 4}]}
    return {
        "part": asked("bytes=10-19", "ETAG"),
        "suffix": asked("bytes=-5"),
        "open": asked("bytes=90-"),
        "beyond": asked("bytes=100-"),
        "several": asked("bytes=0-1,5-6"),
        "not-modified": asked("", "", "", 'W/"b", ETAG'),
        "other": asked("", "", '"b"', ""),
        "upload": asked("bytes 0-9/100", "10"),
        "require": asked("", "", "", "", "", json.dumps(offer)),
        "guides": asked("", "", "", "", "", json.dumps(guides)),
    }


def documents() -> dict[str, bytes]:
    guide = GuideRef(B, 5, A)
    offer = ReleaseOffer("tool", "1.0.0", A, BlobRef(B, 4), (guide,))
    bundle = BundleOffer("tool", "1.0.0", A, BlobRef(B, 4), bases=(BaseRef("0.9.0", B),))
    tool = {
        "tool_id": "tool", "name": "Tool", "version": "1.0.0", "platforms": ["windows"],
        "entrypoint_windows": "runner/run.ps1", "io_schema": {"input": {}, "output": {"x": 1.5}},
        "flash_gpu_config": {"warmup_script": "warm.py"}, "ignore_globs": ["*.tmp"],
    }  # fmt: skip
    row = {
        "tool_id": "tool", "name": "Tool", "latest": "1.0.0", "manifest_hash": A,
        "platforms": ["windows"], "has_frontend": False, "asset_name": "tool_tool_1.0.0.zip",
        "sha256": B, "size": 9,
        "parts": [{"name": "tool_tool_1.0.0.zip.001", "size": 9, "sha256": B}],
    }  # fmt: skip
    lock = [{"path": "models/a.gguf", "sha256": A, "size": 9, "url": "https://host/a"}]
    return {
        "offer": msgspec.json.encode(offer),
        "bundle": msgspec.json.encode(bundle),
        "tool": json.dumps(tool).encode(),
        "catalog": json.dumps({"catalog_version": "2026.11.23", "tools": [row]}).encode(),
        "lock": json.dumps(lock).encode(),
        "adopted": encode_adopted([Adopted("/models/a", A, 9), Adopted("/models/b", B, 1, True)]),
        "adopted-no-text": b'{"files":[{"path":"/models/\xff"}]}',
        "member": f"ranges/{A}/10-20".encode(),
        "blob": f"blobs/sha256/{A}".encode(),
        "limit": b"1.5MB/s@08:00-18:30",
        "address": b"https://hq.example:8443/tools/",
    }


def models() -> dict[str, dict[str, bytes]]:
    tensors = [Tensor("a", 0, (8,), bytes(32)), Tensor("b", 1, (2, 3), bytes(12))]
    metadata = [
        key_value("general.alignment", 4, 64),
        key_value("name", 8, "a model"),
        key_value("tokens", 9, (8, ["a", "bc"])),
        key_value("nested", 9, (9, [(0, [1, 2]), (0, [])])),
    ]
    plain = [("a", "F32", [2], bytes(8)), ("b", "U8", [3], b"abc")]
    return {
        "gguf": {"plain": gguf(tensors), "keys": gguf(tensors, metadata, alignment=64)},
        "safetensors": {
            "plain": safetensors(plain),
            "metadata": safetensors(plain, {"format": "pt", "é": "\n"}),
            "empty": safetensors([]),
        },
    }


def metadata() -> dict[str, dict[str, bytes]]:
    def named(files: Iterable[File], before: str = "") -> dict[str, bytes]:
        # A corpus is one folder.
        return {
            before.replace("/", "-") + name: f"{before}{name}\n".encode() + data
            for name, data in files
        }

    return {
        "chain": named(itertools.starmap(File, PLACE.items())),
        "draft": named(FIRST.files) | named(NEXT.files) | named(NEXT.before, "before/"),
    }


def seeds() -> dict[str, dict[str, bytes]]:
    """Inputs by target and name."""
    begin = Begin("run", "1.1.0", A, "1.0.0", 2, "update")
    done = [EntryDone(0), BlocksDone(1, 0, 4), BlocksDone(1, 4, 2), BlockPart(1, 7, 100)]
    journal = b"".join(
        map(_line, [begin, StepBegun(Step.STAGING), *done, StepBegun(Step.ACTIVATING)])
    )
    manifest = MANIFEST.encode()
    folded = fold(PAPERS, b"recipes", target_hash=A, base=(B, PAPERS), inline=b"in line")
    legacy = GOLDEN / "conformance" / "manifests"
    content = b"words and words and words " * 4
    return {
        "manifest": {
            "built": manifest,
            "hash-of-another": manifest.replace(b'"a.txt"', b'"b.txt"'),
            "real": (legacy / "BitMusic-1.0.2-3b6ed32d.json").read_bytes(),
        },
        "canonical": {
            "all": '{"a":[-2,{}],"\\u00e9":"\\n\\"\\\\ñ","￿":"","𐀀":9007199254740991}'.encode(),
            "float": b'{"a":1.5e3}',
            "twice": b'{"a":1,"a":2}',
            "surrogate": b'["\\ud800"]',
            "deep": b"[" * 70 + b"]" * 70,
        },
        "paths": {
            "good": "a/b.txt\nÉ/ñ.bin\nmodels/x.gguf".encode(),
            "bad": b"../a\nC:x\nCON\na\\b\n/a\na.\nPROGRA~1\na//b",
            "twins": "straße\nSTRASSE\nİ\ni".encode(),
        },
        "globs": {
            "span": b"a/b/c.txt\n**/*.txt\n*.t?t\na/**",
            "hostile": b"aaaaaaaab\n" + b"*a" * 12,
        },
        "names": {
            "both": b"1.2.3\n1.2.3-rc.1+b.7\nz-image-turbo\n0.0.1",
            "bad": b"v1\ncon\n1.2\n01.2.3",
        },
        "blockmap": {"golden": golden("blockmap")},
        "atlas": {"golden": golden("atlas")},
        "recipes": {
            "golden": b"\x1e" + golden("recipes"),
            "small": b"\x1e" + encode_recipes(RECIPES),
        },
        "guide": {"golden": golden("guide"), "folded": encode_guide(folded)},
        "plan": {"whole": PLAN.encode()},
        "journal": {"whole": journal, "torn": journal[:-7]},
        "documents": documents(),
        "retry_after": {
            "seconds": b"120",
            "date": b"Mon, 23 Nov 2026 08:01:00 GMT",
            "wrong": b"Mon, 31 Feb 2026 25:61:61 GMT",
        },
        "ranges": {
            "some": bytes.fromhex("00000000100000000a00201000000100fe001000000000f000001000")
        },
        "frames": {
            "zstd": len(content).to_bytes(3, "little") + pack_block(content, Codec.ZSTD),
            "planes": len(content).to_bytes(3, "little") + pack_block(content, Codec.PLANES_2),
            "patch": len(BASE).to_bytes(3, "little") + patch_from(BASE, BASE[::-1], 1),
            "raw": b"\x03\x00\x00raw",
        },
        "zip_archive": {
            "stored": archive(zipfile.ZIP_STORED),
            "deflated": archive(zipfile.ZIP_DEFLATED),
            "empty": b"PK\x05\x06" + bytes(18),
            "streamed": archive(zipfile.ZIP_STORED, streamed=True),
        },
        "http_answer": answers(),
        "http_request": requests(),
        **models(),
        **metadata(),
    }


if __name__ == "__main__":
    for target, inputs in seeds().items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (folder / name).write_bytes(data)
