"""What was done to a tool, newest last: one JSON line for each change of what is active."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from bitstation.storage.journal import Begin
from bitstation.storage.tree import ToolTree
from bitstation.worker.run import Run

MAX_RECORDS = 500
# Shorter downloads say more of what was done beside them.
_TELLING_BYTES = 50_000_000


class HistoryRecord(msgspec.Struct, frozen=True):
    """One finished operation. ``at`` is UTC, ISO 8601; counts are those of the report."""

    at: str
    run_id: str
    command: str
    from_version: str | None
    to_version: str
    manifest_hash: str
    downloaded: int = 0
    verified: int = 0
    deleted: int = 0
    unchanged: int = 0
    bytes_downloaded: int = 0
    seconds: float = 0.0


_decoder = msgspec.json.Decoder(HistoryRecord)


def read_history(tree: ToolTree) -> list[HistoryRecord]:
    """Records, oldest first; a damaged line is left out."""
    try:
        lines = tree.history.read_bytes().splitlines()
    except OSError:
        return []
    records = []
    for line in lines:
        try:
            records.append(_decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeError):
            continue
    return records


def append_history(run: Run, command: str) -> None:
    """Record what this run did. Durable."""
    stats = run.stats
    record = HistoryRecord(
        at=_now(),
        run_id=run.emitter.run_id,
        command=command,
        from_version=stats.from_version,
        to_version=stats.to_version,
        manifest_hash=stats.manifest_hash,
        downloaded=stats.files_downloaded,
        verified=stats.files_verified,
        deleted=stats.files_deleted,
        unchanged=stats.files_unchanged,
        bytes_downloaded=stats.bytes_downloaded,
        seconds=round(run.seconds, 3),
    )
    _append(run, record)


def append_recovered(run: Run, begin: Begin) -> None:
    """Record an update that was killed behind its commit point, unless it did so itself."""
    if any(record.run_id == begin.run_id for record in read_history(run.tree)):
        return
    record = HistoryRecord(
        at=_now(),
        run_id=begin.run_id,
        command="update",
        from_version=begin.from_version,
        to_version=begin.version,
        manifest_hash=begin.manifest_hash,
    )
    _append(run, record)


def _append(run: Run, record: HistoryRecord) -> None:
    """Add a record, dropping the oldest beyond ``MAX_RECORDS``."""
    records = [*read_history(run.tree)[-(MAX_RECORDS - 1) :], record]
    lines = b"".join(msgspec.json.encode(each) + b"\n" for each in records)
    run.disk.write_file(run.tree.history, lines)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def previous_version(tree: ToolTree) -> str | None:
    """Version that was active before the current one, as the history tells."""
    current = tree.current_version()
    for record in reversed(read_history(tree)):
        if record.to_version == current and record.from_version not in (None, current):
            return record.from_version
    return None


def known_rate(tree: ToolTree) -> float | None:
    """Bytes a second of the last download that was long enough to tell; None: there was none."""
    for record in reversed(read_history(tree)):
        if record.bytes_downloaded >= _TELLING_BYTES and record.seconds > 0:
            return record.bytes_downloaded / record.seconds
    return None


def known_hash(tree: ToolTree, version: str) -> str | None:
    """manifest_hash under which a version was last active here; None when it never was."""
    for record in reversed(read_history(tree)):
        if record.to_version == version:
            return record.manifest_hash
    return None
