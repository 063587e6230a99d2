"""Corrects a wrong local clock for signing: the offset is learnt from a rejection, and shared once it has worked.

A request that was rejected for its time is signed again, as the .NET SDK does: with the offset that another call has
confirmed meanwhile, else with that of the response's Date. Such an offset is used for this one request first. Others
use it only once ECS has accepted the request's time. So one bad Date costs one call, and each of many calls that were
signed with the wrong time is corrected.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

import attrs

CLOCK_SKEW_CODES = {
    "InvalidSignatureException",
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
"""Error codes of a request that may have been rejected for its time."""
_MAX_SKEW = 240.0
"""Seconds of clock skew beyond which the time counts as the reason; AWS tolerates 300 [General Reference]."""
_FIRST, _LAST = 1_420_070_400.0, 253_402_300_799.0
"""Times that a server's clock can show: from 2015, when ECS began, to the last second that a signature can hold."""


def parse_date(date: str | None) -> float | None:
    """Parse a Date header into seconds since the epoch; return None if it is malformed or out of range."""
    if date is None:
        return None
    try:
        read = parsedate_to_datetime(date)
        seconds = (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return seconds if _FIRST <= seconds <= _LAST else None


@attrs.define
class ClockCorrection:
    """The confirmed offset of the server's clock from ours, in seconds; positive where the server is ahead."""

    offset: float = 0.0

    def offset_for_retry(self, used: float, date: str | None, now: float) -> float | None:
        """Return the offset to sign again with; None if the time was not the reason.

        `used` is the offset that the rejected request was signed with, `date` its response's Date, and `now` our time.
        """
        if abs(self.offset - used) >= _MAX_SKEW:
            return self.offset
        server_time = parse_date(date)
        if server_time is None or abs(server_time - now - used) < _MAX_SKEW:
            return None
        return server_time - now

    def confirm(self, offset: float) -> None:
        """Use this offset from now on: a request that was signed with it was not rejected for its time."""
        self.offset = offset
