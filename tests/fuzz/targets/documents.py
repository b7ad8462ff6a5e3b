"""The other JSON documents that somebody else wrote, and the lines of text that people write."""

from __future__ import annotations

from collections.abc import Callable

from bitstation.core.adopted import encode_adopted, parse_adopted
from bitstation.core.bundle import blob_member, parse_bundle_offer, parse_member, span_member
from bitstation.core.catalog import parse_catalog
from bitstation.core.mirror import encode_offer, parse_offer
from bitstation.core.pacing import parse_limit, rate_at
from bitstation.core.toolfile import parse_tool_file
from bitstation.errors import BitStationError, ManifestError, StoreCorrupt, UsageError
from bitstation.publisher.lock import parse_lock
from bitstation.transport.http import parse_base


def _catalog(data: bytes) -> None:
    catalog = parse_catalog(data)
    assert parse_catalog(catalog.encode()) == catalog


def _offer(data: bytes) -> None:
    offer = parse_offer(data)
    assert parse_offer(encode_offer(offer)) == offer


def _bundle_offer(data: bytes) -> None:
    parse_bundle_offer(data, what="the offer")


def _adopted(data: bytes) -> None:
    rows = parse_adopted(data)
    written = parse_adopted(encode_adopted(rows))
    assert written == tuple(sorted(rows, key=lambda row: row.path))


def _member(data: bytes) -> None:
    name = data.decode("utf-8", "surrogateescape")
    inside = parse_member(name)
    if inside is None:
        raise UsageError(detail="another member")
    named = span_member(inside.digest, inside.span) if inside.span else blob_member(inside.digest)
    assert named == name


def _limit(data: bytes) -> None:
    limit = parse_limit(data.decode("utf-8", "surrogateescape"))
    assert limit.bytes_per_s >= 0
    rate_at([limit], 0.0)


def _address(data: bytes) -> None:
    base = parse_base(data.decode("utf-8", "surrogateescape"))
    assert base.scheme in ("http", "https")
    assert parse_base(base.geturl()) == base


_PARSERS: dict[Callable[[bytes], object], type[BitStationError]] = {
    _catalog: ManifestError,
    _offer: ManifestError,
    _bundle_offer: ManifestError,
    parse_tool_file: ManifestError,
    parse_lock: ManifestError,
    _adopted: StoreCorrupt,
    _member: UsageError,
    _limit: UsageError,
    _address: UsageError,
}


def check(data: bytes) -> bool:
    """Each takes it or refuses it in its own way."""
    taken = 0
    for parse, refusal in _PARSERS.items():
        try:
            parse(data)
        except refusal as error:
            assert str(error)
        else:
            taken += 1
    return taken > 0
