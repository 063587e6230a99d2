"""Whether this machine's clock is right, as far as the Date of an answer proves it. Without I/O.

Leases are compared across machines by wall clocks. Each worker compares its own with that of the queue, which all of
them share. Each may be off by half of `skew`, so that no two differ by more than `skew`.
"""

from __future__ import annotations

import attrs

from aioecs.errors import ConfigurationError

_WHOLE = 1.0  # in seconds: a Date has no fractions of a second


@attrs.frozen
class ClockReading:
    """One answer: its Date, and when by this machine's clock its request was sent and the answer received."""

    date: float
    sent: float
    received: float

    @property
    def off(self) -> float:
        """How far this machine's clock is off at least, in seconds: above 0 if it is ahead; 0 if it may be right."""
        ahead = self.sent - (self.date + _WHOLE)  # the answer was not made before the request was sent
        behind = self.date - self.received
        return ahead if ahead > 0 else min(0.0, -behind)


def clock_error(reading: ClockReading | None, skew: float) -> ConfigurationError | None:
    """Return the error to end with, if the reading proves that the clock is off by more than half of `skew`."""
    if reading is None or abs(reading.off) <= skew / 2:
        return None
    way = "ahead of" if reading.off > 0 else "behind"
    return ConfigurationError(
        f"this machine's clock is {abs(reading.off):.1f} s or more {way} that of the queue; leases hold only where "
        f"each worker's is within half of skew={skew:g} s: set the clock, or give all workers a larger skew"
    )


class Clock:
    """This machine's clock, as far as the answers so far prove something about it."""

    def __init__(self, skew: float) -> None:
        self._skew = skew
        self.error: ConfigurationError | None = None
        """Why the worker must end; None while nothing is proven."""

    def add(self, reading: ClockReading | None) -> None:
        """Add the reading of one more answer."""
        self.error = self.error or clock_error(reading, self._skew)
