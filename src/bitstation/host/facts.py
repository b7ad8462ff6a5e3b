"""What the file system says of a file without reading it."""

from __future__ import annotations

from typing import NamedTuple


class StatFacts(NamedTuple):
    """Identity and stamps of a file. Two equal values mean: nothing was done to it in between.

    ``change_ns`` moves at every write, truncation, link, rename and mode change and cannot be set
    by programs: ctime on POSIX, ChangeTime on Windows. It is 0 where the volume keeps none.
    """

    volume: int
    file_id: int
    size: int
    mtime_ns: int
    change_ns: int
    links: int
    is_file: bool
    is_writable: bool
    is_executable: bool

    @property
    def identity(self) -> tuple[int, int]:
        """Key of the file itself, whatever its names."""
        return self.volume, self.file_id

    def same_content_as(self, other: StatFacts) -> bool:
        """Say whether nothing was done to the file between the two looks."""
        return self[:5] == other[:5]
