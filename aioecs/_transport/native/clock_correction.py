"""By how much the clock that requests are signed with is off: learnt from a rejection, believed once it has helped.

A request that was turned away for its time is signed anew, as the .NET SDK does: by what another call has proven
meanwhile, else by its own answer's Date. That Date counts for this one request; only when a request that was signed by
it is not turned away for its time do others sign by it. So one bad Date costs one call, and of many calls that were
signed with the wrong time each is mended.
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
"""Codes of a request that may have been turned away for its time."""
_MAX_SKEW = 240.0
"""Seconds that a clock may be off before it counts as the reason; AWS tolerates 300 [General Reference]."""
_FIRST, _LAST = 1_420_070_400.0, 253_402_300_799.0
"""From 2015, when ECS began, to the last second that a signature can hold: no server's clock is elsewhere."""


def parse_date(date: str | None) -> float | None:
    """Read a Date header as seconds since the epoch; None if it is none, or no time that a server can have."""
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
    """How many seconds the servers' clock is ahead of ours, as far as that is proven."""

    offset: float = 0.0

    def offset_for_retry(self, used: float, date: str | None, now: float) -> float | None:
        """Say how far ahead to sign a request that was turned away with `signed`; None: its time was not the reason."""
        if abs(self.offset - used) >= _MAX_SKEW:
            return self.offset
        server_time = parse_date(date)
        if server_time is None or abs(server_time - now - used) < _MAX_SKEW:
            return None
        return server_time - now

    def confirm(self, offset: float) -> None:
        """Believe it: a request that was signed so was not turned away for its time."""
        self.offset = offset
