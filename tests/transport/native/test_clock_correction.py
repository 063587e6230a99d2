"""clock_correction: a wrong clock is corrected by what helped, and a bad Date costs one call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs._transport.native.clock_correction import Clock, seconds_of

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
    assert seconds_of(date) == seconds


@given(st.text())
def test_any_text_is_read(date: str) -> None:
    """No text raises."""
    seconds_of(date)


@pytest.mark.parametrize(
    ("ahead", "signed", "off", "said"),
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
def test_what_to_sign_with(ahead: float, signed: float, off: float, said: float | None) -> None:
    """What is proven goes before an answer's Date, and a Date that agrees says that time was not the reason."""
    date = seconds_of(AT)
    assert date is not None
    assert Clock(ahead).retry(signed, AT, date - off) == said


def test_a_date_counts_for_others_once_it_helped() -> None:
    """Until it is proven it changes nothing."""
    clock = Clock()
    ahead = clock.retry(0.0, AT, NOW - 3600)
    assert (ahead, clock.ahead) == (3600.0, 0.0)
    clock.proven(3600.0)
    assert clock.ahead == 3600.0
