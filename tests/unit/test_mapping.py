"""One reading gives a model's digest and its block map, and both are what reading twice gives."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from bitstation.core.blockmap import Cut, encode_blockmap, parse_blockmap
from bitstation.core.digest import digest_of
from bitstation.errors import FileChanged, UpdateCancelled
from bitstation.models.cutting import cut_model, cut_pieces
from bitstation.models.layout import Layout, LayoutFault, SpanKind
from bitstation.storage import mapping
from bitstation.storage.hashing import Stop
from bitstation.storage.mapping import layout_of, map_model
from tests.unit.model_files import STRING, Tensor, gguf, key_value, safetensors

MIB = 1024 * 1024
F32 = 0


def tensors(*sizes: int) -> list[Tensor]:
    return [
        Tensor(f"blk.{number}", F32, (size // 4,), random.Random(number).randbytes(size))
        for number, size in enumerate(sizes)
    ]


# Sizes around a block and a piece, so that pieces end within tensors and between them.
LARGE = tensors(MIB, MIB + 4, 3 * MIB - 4, 40, 9 * MIB, 8 * MIB, 4)


def laid_out(path: Path) -> Layout:
    layout = layout_of(path)
    assert layout is not None
    return layout


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.write_bytes(gguf(LARGE, [key_value("note", STRING, "x" * 5000)]))
    return path


def test_one_reading_gives_what_reading_each_block_gives(model: Path) -> None:
    data, layout, counts = model.read_bytes(), laid_out(model), []

    facts, digest, blockmap = map_model(model, layout, counts.append)

    assert digest == blockmap.file_digest == digest_of(data)
    assert sum(counts) == facts.size == blockmap.size_bytes == len(data)
    assert blockmap.cut is Cut.TENSORS
    parsed = parse_blockmap(encode_blockmap(blockmap))
    assert [(each.offset, each.length) for each in parsed.blocks()] == [
        (each.offset, each.length) for each in cut_model(layout)
    ]
    for each in parsed.blocks():
        assert each.digest.hex() == digest_of(data[each.offset : each.offset + each.length])


def test_each_tensor_of_several_blocks_is_a_group(model: Path) -> None:
    data, layout = model.read_bytes(), laid_out(model)
    blockmap = parse_blockmap(encode_blockmap(map_model(model, layout)[2]))
    blocks = list(blockmap.blocks())
    grouped = {
        blocks[group.first].offset: blocks[group.first : group.first + group.count]
        for group in blockmap.groups
    }
    long = [span for span in layout.spans if span.length > MIB]
    assert [span.offset for span in long] == list(grouped)
    assert len(long) == 4
    for span, group in zip(long, blockmap.groups, strict=True):
        assert sum(block.length for block in grouped[span.offset]) == span.length
        raw = b"".join(
            hashlib.sha256(data[at : min(at + MIB, span.end)]).digest()
            for at in range(span.offset, span.end, MIB)
        )
        assert group.digest == digest_of(raw)


def test_equal_tensors_have_equal_groups_in_both_formats(tmp_path: Path, model: Path) -> None:
    other = tmp_path / "model.safetensors"
    other.write_bytes(
        safetensors([(each.name, "F32", [len(each.data) // 4], each.data) for each in LARGE])
    )
    maps = [map_model(path, laid_out(path))[2] for path in (model, other)]
    groups = [{group.digest for group in each.groups} for each in maps]
    assert len(groups[0]) == 4
    assert groups[0] == groups[1]


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"x" * MIB, b'{"a": 1}' * 10])
def test_what_is_no_model_has_no_layout(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert layout_of(tmp_path / "file") is None


def test_a_model_cut_short_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(gguf(LARGE)[:-MIB])
    with pytest.raises(LayoutFault):
        layout_of(tmp_path / "a.gguf")


def test_a_model_of_crumbs_gets_no_map(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(gguf(tensors(*[4] * 50)))
    assert layout_of(tmp_path / "a.gguf") is None


@pytest.mark.parametrize("length", [0, 100, -1])
def test_a_file_that_changes_meanwhile_is_told(model: Path, length: int) -> None:
    layout = laid_out(model)

    def change(_count: int) -> None:
        with model.open("r+b") as file:
            if length >= 0:
                file.truncate(length)
            else:
                file.seek(0, 2)
                file.write(b"more")

    with pytest.raises(FileChanged):
        map_model(model, layout, change)


def test_it_stops_when_asked(model: Path) -> None:
    stop, counts = Stop(), []

    def count(length: int) -> None:
        counts.append(length)
        stop.set()

    with pytest.raises(UpdateCancelled):
        map_model(model, laid_out(model), count, stop)
    assert len(counts) == 1


def test_no_piece_is_larger_than_its_buffer(model: Path) -> None:
    pieces = list(cut_pieces(laid_out(model), mapping.PIECE_BYTES))
    assert sum(map(sum, pieces)) == model.stat().st_size
    assert max(map(sum, pieces)) <= mapping.PIECE_BYTES
    assert len(pieces) > 2
    assert any(span.kind is SpanKind.PADDING for span in laid_out(model).spans)
