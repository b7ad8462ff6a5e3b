"""The file that a file is the next version of, whatever it is called."""

from __future__ import annotations

import pytest

from bitstation.codec.guiding import Papers
from bitstation.core.atlas import Atlas
from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Entry
from bitstation.recipes.known import Known
from bitstation.recipes.pairing import Pairs, without_version
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import make_release


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("libarrow.so.2600", "libarrow.so.2601"),
        ("bin/foo-1.2.3.dll", "bin/foo-1.10.dll"),
        ("libonnxruntime.so.1.31.1", "libonnxruntime.so.1.32.0"),
        ("libgfortran-040039e1.so.5.0.0", "libgfortran-83c28eba.so.5.0.0"),
        ("numpy-2.4.5.dist-info/RECORD", "numpy-2.4.6.dist-info/RECORD"),
        ("ext.cpython-311-x86_64-linux-gnu.so", "ext.cpython-312-x86_64-linux-gnu.so"),
        ("Model-v2.BIN", "model-v3.bin"),
    ],
)
def test_names_of_two_versions_are_one(one: str, other: str) -> None:
    assert without_version(one) == without_version(other)


@pytest.mark.parametrize(
    ("one", "other"), [("libfoo.so", "libfoo.dll"), ("a.py", "b.py"), ("face.bin", "cafe.bin")]
)
def test_other_names_stay_apart(one: str, other: str) -> None:
    assert without_version(one) != without_version(other)


def blockmap(words: str, length: int = 80_000) -> BlockMap:
    """A map of one block for each word."""
    digests = b"".join(bytes.fromhex(digest_of(word.encode())) for word in words.split())
    lengths = (length,) * len(words.split())
    return BlockMap(digest_of(words.encode()), sum(lengths), Cut.CONTENT, lengths, digests)


def entry_of(path: str, words: str) -> Entry:
    found = blockmap(words)
    return Entry(path, found.file_digest, found.size_bytes)


def pairs(**files: str) -> Pairs:
    """A base of files (``__`` for /, ``_`` for .), each made of words."""
    named = {
        name.replace("__", "/").replace("_", "."): blockmap(words) for name, words in files.items()
    }
    release = make_release({"x": b"x"}, "1.0.0")
    manifest = release.manifest
    entries = tuple(Entry(path, each.file_digest, each.size_bytes) for path, each in named.items())
    maps = {each.file_digest: each for each in named.values()}
    import msgspec

    manifest = msgspec.structs.replace(manifest, entries=entries)
    return Pairs(Known(manifest, Papers(b"", b""), Atlas(maps), MemorySource(release)))


def test_the_same_path_comes_before_a_like_name() -> None:
    base = pairs(a__lib_1_so="a", b__lib_2_so="b")
    found = base.find(entry_of("b/lib.2.so", "c"), blockmap("c"))
    assert found is not None
    assert found.path == "b/lib.2.so"


def test_shared_blocks_come_before_the_path() -> None:
    base = pairs(model_bin="a b c d", old_bin="e f g h")
    found = base.find(entry_of("model.bin", "e f x h"), blockmap("e f x h"))
    assert found is not None
    assert found.path == "old.bin"


def test_a_little_in_common_does_not_come_before_the_path() -> None:
    base = pairs(model_bin="a b", licences_bin="l m n")
    words = "l " + " ".join(f"w{number}" for number in range(30))
    found = base.find(entry_of("model.bin", words), blockmap(words))
    assert found is not None
    assert found.path == "model.bin"


def test_of_like_names_the_nearest_in_size_is_taken() -> None:
    base = pairs(x__lib_1_so="a", y__lib_2_so="b c d")
    found = base.find(entry_of("z/lib.3.so", "e f g"), blockmap("e f g"))
    assert found is not None
    assert found.path == "y/lib.2.so"


def test_a_stranger_has_no_base() -> None:
    base = pairs(a_py="a", b_bin="b")
    assert base.find(entry_of("c.json", "z"), blockmap("z")) is None


def test_new_blocks_are_those_that_no_file_of_the_base_has() -> None:
    base = pairs(a_py="a b", b_bin="c")
    assert base.new_blocks(blockmap("x c a y")) == [0, 3]
    zeroes = bytes.fromhex(digest_of(bytes(256 << 10)))
    filled = BlockMap(Digest("0" * 64), 256 << 10, Cut.CONTENT, (256 << 10,), zeroes)
    assert base.new_blocks(filled) == []
