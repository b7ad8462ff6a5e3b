"""What is known of the releases that workers are likely to have."""

from __future__ import annotations

import msgspec

from bitstation.codec.guiding import Papers
from bitstation.core.atlas import Atlas
from bitstation.core.manifest import Manifest
from bitstation.transport.source import Source


class Known(msgspec.Struct, frozen=True):
    """A release that workers are likely to have; its files are read from ``blobs`` by digest."""

    manifest: Manifest
    papers: Papers
    atlas: Atlas
    blobs: Source
