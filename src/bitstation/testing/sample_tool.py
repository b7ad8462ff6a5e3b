"""A whole tool to try things with: a few dozen files and a real model, and its next version."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bitstation.core.toolfile import TOOL_FILE_NAME
from bitstation.testing.sample_files import MODEL_PATH, PACKAGE, sample_files
from bitstation.testing.sample_weights import describe_model, write_model

TOOL_ID = "z-image-turbo"
FIRST_VERSION, NEXT_VERSION, EDITED_VERSION = "2.4.0", "2.4.1", "2.4.2"

_DESCRIPTION = (
    "Sentence embeddings of 384 numbers, trained on a thousand million pairs of sentences. "
    "Texts are cut after 256 word pieces; compare two of them by the cosine of their vectors."
)
_REMOVED = "notes/first-steps.txt"
_RENAMED = (f"{PACKAGE}/enlarge.py", f"{PACKAGE}/upscale.py")


class Sample(msgspec.Struct, frozen=True):
    """What was written. Without ``real_weights`` the model's numbers are generated ones."""

    folder: Path
    files: int
    model_bytes: int
    real_weights: bool

    def describe(self) -> str:
        """One line for people."""
        model = "of all-MiniLM-L6-v2" if self.real_weights else "generated (no real ones installed)"
        size = f"{self.model_bytes / 1e6:.1f} MB"
        return f"{self.files} files in {self.folder.name}; a GGUF of {size}, weights {model}"


def _first(version: str) -> dict[str, str]:
    return sample_files(TOOL_ID, version, strength=0.6, tokens=("[PAD]", "[UNK]"))


def _next(version: str) -> dict[str, str]:
    return sample_files(TOOL_ID, version, strength=0.55, tokens=("[PAD]", "[UNK]", "[CLS]"))


def write_sample_tool(folder: Path, version: str = FIRST_VERSION) -> Sample:
    """Write the sample tool into an absent or empty folder. Cost: about 2 s for the model."""
    files = _first(version)
    _write(folder, files)
    model = folder / MODEL_PATH
    model.parent.mkdir()
    real = write_model(model)
    return Sample(folder, len(files) + 1, model.stat().st_size, real)


def next_version(folder: Path, version: str = NEXT_VERSION) -> None:
    """Turn the sample into its next version.

    Three files change (tool.json, a module, the vocabulary of half a megabyte), one goes, one is
    renamed; the model is not touched.
    """
    earlier = _first(FIRST_VERSION)
    later = _next(version)
    _write(folder, {path: text for path, text in later.items() if text != earlier[path]})
    (folder / _REMOVED).unlink()
    before, after = _RENAMED
    (folder / before).rename(folder / after)


def edited_version(folder: Path, version: str = EDITED_VERSION) -> None:
    """Turn the next version into one whose model has a description: no byte of it stays in place.

    Beside the model only tool.json changes.
    """
    _write(folder, {TOOL_FILE_NAME: _next(version)[TOOL_FILE_NAME]})
    describe_model(folder / MODEL_PATH, _DESCRIPTION)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Bytes, so that the sample is the same release on every system.
        path.write_bytes(text.encode("utf-8"))
