"""clock_correction: a wrong clock is corrected by a confirmed offset, and a bad Date costs one call."""

from __future__ import annotations

import pytest
from characters import CHARACTERS
from hypothesis import given
from hypothesis import strategies as st

from aioecs._transport.native.clock_correction import ClockCorrection, parse_date

NOW = 1_790_000_000.0
AT = "Mon, 21 Sep 2026 14:13:20 GMT"


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (AT, NOW),
        ("Mon, 21 Sep 2026 14:13:20 -0000", NOW),
        ("Mon, 21 Sep 2026 16:13:20 +0200", NOW),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Mon, 21 Sep 0001 14:13:20 +2359", None),
        ("Mon, 21 Sep 9999 14:13:20 -9999", None),
        ("Mon, 21 Sep 2026 14:13:20 +999999999999999999999", None),
        ("Mon, 99 Sep 2026 99:99:99 GMT", None),
    ],
)
def test_parse_date(date: str | None, seconds: float | None) -> None:
    """A Date is parsed into seconds since the epoch; a time that no server's clock can show is None."""
    assert parse_date(date) == seconds


@given(st.text(CHARACTERS))
def test_parse_date_never_raises(date: str) -> None:
    """Any text is a number of seconds or None."""
    parse_date(date)


@pytest.mark.parametrize(
    ("offset", "used", "server_ahead", "expected"),
    [
        (0.0, 0.0, 3600.0, 3600.0),  # our clock was an hour behind
        (0.0, 0.0, -3600.0, -3600.0),
        (0.0, 0.0, 100.0, None),  # within what AWS tolerates: its time was not the reason
        (3600.0, 0.0, 3600.0, 3600.0),  # another call has confirmed it meanwhile
        (3600.0, 0.0, 9e6, 3600.0),  # and then this answer's own Date doesn't count
        (3600.0, 3600.0, 3600.0, None),
        (3600.0, 3600.0, 0.0, 0.0),  # our clock was set right meanwhile
    ],
)
def test_offset_for_retry(offset: float, used: float, server_ahead: float, expected: float | None) -> None:
    """A confirmed offset precedes the response's Date; a Date that agrees means that the time was not the reason."""
    date = parse_date(AT)
    assert date is not None
    assert ClockCorrection(offset).offset_for_retry(used, AT, date - server_ahead) == expected


def test_an_offset_is_shared_once_confirmed() -> None:
    """Until it is confirmed, it changes nothing."""
    clock = ClockCorrection()
    offset = clock.offset_for_retry(0.0, AT, NOW - 3600)
    assert (offset, clock.offset) == (3600.0, 0.0)
    clock.confirm(3600.0)
    assert clock.offset == 3600.0
