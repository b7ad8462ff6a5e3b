"""A release made small for the wire: maps, packed blocks, patches and guides.

Only hints are made here. A worker that gets none of them, or wrong ones, fetches whole files.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from bitstation.codec.guiding import Papers
from bitstation.core.atlas import MAX_ATLAS_BYTES, Atlas, encode_atlas
from bitstation.core.blockmap import BlockMap, Cut, whole_map
from bitstation.core.digest import Digest
from bitstation.core.guide import MAX_INLINE_BYTES
from bitstation.core.manifest import Entry, Manifest
from bitstation.core.recipe import INLINE, Segment
from bitstation.host import tune_memory
from bitstation.recipes.basing import TargetFile, add_small, patch_file
from bitstation.recipes.cutting import layout_of
from bitstation.recipes.guides import Way, fold_guides
from bitstation.recipes.kinds import kinds_of
from bitstation.recipes.known import Forms, Known, distinct, is_unmapped
from bitstation.recipes.made import Figures, Made, MadeGuide, Making, Maps, Progress, named
from bitstation.recipes.mapping import map_files
from bitstation.recipes.packing import Packer
from bitstation.recipes.packs import MadePack, PackWriter, settled
from bitstation.recipes.pairing import Pairs
from bitstation.recipes.patching import Patcher
from bitstation.recipes.reading import BlobReader
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.hashing import Stop
from bitstation.transport.source import Source

__all__ = ["Figures", "Known", "Made", "MadeGuide", "MadePack", "Maps", "make_release"]


def make_release(  # noqa: PLR0913 - each of them is the caller's to say
    target: Manifest,
    manifest_bytes: bytes,
    blobs: Source,
    bases: Sequence[Known],
    *,
    work: Path,
    cache: Maps | None,
    disk: Disk,
    stop: Stop,
    progress: Progress,
    packed: bool = True,
) -> Made:
    """Guides, packs and atlas of a release whose files ``blobs`` gives by digest.

    Not ``packed``: maps only, for readers of the very files, whom packed blocks save nothing.

    The same release, bases and versions of the packages give the same bytes. ``blobs`` is
    believed: whoever calls has proved the files. Packs lie in ``work`` as temporary files; after
    an error there are none.

    Raises SourceError, StoreError, DiskFull, MissingExtra, UpdateCancelled.
    Cost: reads every file once that no base and no ``cache`` maps, and what is new in it once or
    twice more; 150 MB of memory, 300 MB while a patch is made.
    """
    tune_memory()
    making = Making(work, cache, disk, stop, progress)
    with disk_errors(work):
        disk.make_dir(work)
    # Who has no atlas of a base cannot read a guide that starts there.
    bases = [base for base in bases if base.papers.atlas]
    maps = map_files(making, target, blobs, bases)
    with ExitStack() as undo:
        run = _Run(making, target, blobs, undo)
        files = run.pack_files(maps, bases) if packed else run.bare_files(maps)
        papers = Papers(manifest_bytes, _atlas_bytes(maps, files))
        ways = [run.way_from(base, files) for base in bases if _is_other(base, target)]
        guides = tuple(fold_guides(target, papers, ways))
        undo.pop_all()
    return Made(guides, tuple(run.packs), papers.atlas, run.figures)


class _Run:
    """The packs of one run, and what was counted."""

    def __init__(self, making: Making, target: Manifest, blobs: Source, undo: ExitStack) -> None:
        self.packs: list[MadePack] = []
        self.figures = Figures()
        self._making = making
        self._target = target
        self._blobs = blobs
        self._undo = undo

    def pack_files(self, maps: dict[Digest, BlockMap], bases: Sequence[Known]) -> list[TargetFile]:
        """All files, each content once, with the forms of their blocks; one new pack at most."""
        forms = Forms()
        for base in bases:
            forms.add_release(base)
        pack = self._open_pack()
        packer = Packer(forms, pack, self._making.stop)
        total = sum(entry.size for entry in distinct(self._target.entries))
        told = self._making.progress("compress", named(self._target), total)
        files = []
        for entry in distinct(self._target.entries):
            blockmap = maps.get(entry.sha256) or whole_map(entry.sha256, entry.size)
            kept = forms.keep(blockmap)
            segments = self._packed(entry, blockmap, packer) if kept is None else kept
            files.append(TargetFile(entry, blockmap, segments))
            told(entry.size)
        blob = self._close_pack(pack)
        self.figures = Figures(
            blocks=sum(len(file.map) for file in files),
            new_blocks=packer.blocks,
            new_bytes=packer.new_bytes,
            packed_bytes=pack.size_bytes,
        )
        return [file._replace(segments=settled(file.segments, blob)) for file in files]

    def bare_files(self, maps: dict[Digest, BlockMap]) -> list[TargetFile]:
        """All files, each content once, without any form."""
        return [
            TargetFile(entry, maps.get(entry.sha256) or whole_map(entry.sha256, entry.size), [])
            for entry in distinct(self._target.entries)
        ]

    def way_from(self, base: Known, files: Sequence[TargetFile]) -> Way:
        """Patches from a base: inline where all of them are short, else in a pack of their own."""
        pairs = Pairs(base)
        pack = self._open_pack()
        patcher = Patcher(pack, self._making.stop)
        total = sum(file.entry.size for file in files)
        told = self._making.progress("patch", named(base.manifest), total)
        for file in files:
            patch_file(file, self._blobs, pairs, patcher)
            told(file.entry.size)
        patcher.finish()
        for file in files:
            add_small(file, self._blobs, pairs, patcher)
        count = sum(map(len, patcher.recipes.values()))
        self.figures = msgspec.structs.replace(
            self.figures,
            patches=self.figures.patches + count,
            patch_bytes=self.figures.patch_bytes + pack.size_bytes,
        )
        inline, blob = b"", INLINE
        if pack.size_bytes > MAX_INLINE_BYTES:
            blob = self._close_pack(pack)
        else:
            inline = pack.take()
        # In the order of the files: jobs of one file end before those of the next, but not all
        # files have any.
        recipes = {digest: settled(each, blob) for digest, each in patcher.recipes.items()}
        return Way(base, recipes, inline, patcher.saved_bytes)

    def _packed(self, entry: Entry, blockmap: BlockMap, packer: Packer) -> list[Segment]:
        if is_unmapped(blockmap):
            return []
        with closing(BlobReader(self._blobs, entry.sha256, entry.size)) as reader:
            layout = layout_of(entry, reader) if blockmap.cut is Cut.TENSORS else None
            return packer.recipe(blockmap, kinds_of(blockmap, layout), reader)

    def _open_pack(self) -> PackWriter:
        path = self._making.work / f"pack-{len(self.packs)}"
        pack = PackWriter(path, self._making.disk)
        self._undo.callback(pack.discard)
        return pack

    def _close_pack(self, pack: PackWriter) -> Digest:
        made = pack.finish()
        if made is None:
            return INLINE
        self.packs.append(made)
        return made.digest


def _is_other(base: Known, target: Manifest) -> bool:
    return base.manifest.manifest_hash != target.manifest_hash


def _atlas_bytes(maps: dict[Digest, BlockMap], files: Sequence[TargetFile]) -> bytes:
    recipes = {file.entry.sha256: tuple(file.segments) for file in files if file.segments}
    data = encode_atlas(Atlas(maps, recipes))
    # Room is left for recipes of the usual kind; without them blocks are fetched as they are.
    return data if len(data) <= MAX_ATLAS_BYTES else encode_atlas(Atlas(maps))
