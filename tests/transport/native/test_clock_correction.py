"""clock_correction: a wrong clock is corrected by what helped, and a bad Date costs one call."""

from __future__ import annotations

import pytest
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
def test_a_date_is_read_within_reason(date: str | None, seconds: float | None) -> None:
    """A Date is seconds since the epoch; what no server's clock can show is none."""
    assert parse_date(date) == seconds


@given(st.text())
def test_any_text_is_read(date: str) -> None:
    """No text raises."""
    parse_date(date)


@pytest.mark.parametrize(
    ("offset", "used", "server_ahead", "expected"),
    [
        (0.0, 0.0, 3600.0, 3600.0),  # our clock was an hour late
        (0.0, 0.0, -3600.0, -3600.0),
        (0.0, 0.0, 100.0, None),  # within what AWS tolerates: its time was not the reason
        (3600.0, 0.0, 3600.0, 3600.0),  # another call has proven it meanwhile
        (3600.0, 0.0, 9e6, 3600.0),  # and then this answer's own Date doesn't count
        (3600.0, 3600.0, 3600.0, None),
        (3600.0, 3600.0, 0.0, 0.0),  # our clock was set right meanwhile
    ],
)
def test_what_to_sign_with(offset: float, used: float, server_ahead: float, expected: float | None) -> None:
    """What is proven goes before an answer's Date, and a Date that agrees says that time was not the reason."""
    date = parse_date(AT)
    assert date is not None
    assert ClockCorrection(offset).offset_for_retry(used, AT, date - server_ahead) == expected


def test_a_date_counts_for_others_once_it_helped() -> None:
    """Until it is proven it changes nothing."""
    clock = ClockCorrection()
    offset = clock.offset_for_retry(0.0, AT, NOW - 3600)
    assert (offset, clock.offset) == (3600.0, 0.0)
    clock.confirm(3600.0)
    assert clock.offset == 3600.0
