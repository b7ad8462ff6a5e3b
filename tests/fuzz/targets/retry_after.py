"""Retry-After and HTTP dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from bitstation.core.backoff import (
    MAX_RETRY_AFTER_S,
    Backoff,
    parse_http_date,
    parse_retry_after,
)

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def check(data: bytes) -> bool:
    """A pause is within its bounds whatever the header says; dates are those of email.utils."""
    text = data.decode("latin-1")
    asked_s = parse_retry_after(text, NOW)
    assert asked_s is None or 0.0 <= asked_s <= MAX_RETRY_AFTER_S
    pause_s = Backoff().pause_s(1, lambda: 1.0, asked_s)
    assert pause_s is not None
    assert 0.0 <= pause_s <= MAX_RETRY_AFTER_S + Backoff().longest_s
    moment = parse_http_date(text)
    # In a year of less than three digits email.utils sees a year of our time.
    if moment is not None and moment.year >= 100:
        # The leap second is taken for the one before it; email.utils knows none.
        known = parsedate_to_datetime(text.strip().replace(":60 GMT", ":59 GMT"))
        assert abs(moment - known) < timedelta(minutes=1)
    return asked_s is not None
