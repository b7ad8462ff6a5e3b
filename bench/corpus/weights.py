"""Weights from fixed seeds: the same numpy and arguments give the same bytes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np

MB = 1_000_000


def rng(*key: object) -> np.random.Generator:
    """A generator of its own for each key."""
    seed = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little")
    return np.random.Generator(np.random.SFC64(seed))


def gauss(source: np.random.Generator, count: int, sigma: float) -> np.ndarray:
    """Normal float32 weights."""
    return source.standard_normal(count, dtype=np.float32) * np.float32(sigma)


def to_bf16(weights: np.ndarray) -> np.ndarray:
    """float32 to the bits of bf16, rounded to nearest even."""
    bits = weights.view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return ((bits + half) >> np.uint32(16)).astype(np.uint16)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    """The float32 that bf16 bits stand for."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def q8_0(source: np.random.Generator, count: int) -> np.ndarray:
    """Normal weights in GGUF blocks of Q8_0: a half float, 32 signed bytes."""
    blocks = gauss(source, count, 0.02).reshape(-1, 32)
    step = np.abs(blocks).max(1) / 127.0
    out = np.empty((len(blocks), 34), np.uint8)
    out[:, :2] = step.astype(np.float16)[:, None].view(np.uint8)
    out[:, 2:] = np.rint(blocks / step[:, None]).astype(np.int8).view(np.uint8)
    return out


def q4_0(source: np.random.Generator, count: int) -> np.ndarray:
    """Normal weights in GGUF blocks of Q4_0: a half float, 32 half bytes."""
    blocks = gauss(source, count, 0.02).reshape(-1, 32)
    top = np.abs(blocks).argmax(1)
    step = blocks[np.arange(len(blocks)), top] / -8.0
    quants = np.clip(np.floor(blocks / step[:, None] + 8.5), 0, 15).astype(np.uint8)
    out = np.empty((len(blocks), 18), np.uint8)
    out[:, :2] = step.astype(np.float16)[:, None].view(np.uint8)
    out[:, 2:] = quants[:, :16] | (quants[:, 16:] << 4)
    return out


def clone(source: Path, target: Path) -> None:
    """Copy a file or a tree."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
