"""Is this machine's clock right? What an answer's Date proves about it, pure.

Leases are compared across machines by wall clocks. Each worker holds its own against the service that all of them
share; half of `skew` is what each may be off, so that no two are further apart than `skew`.
"""

from __future__ import annotations

import attrs

from aioecs.errors import ConfigurationError

_WHOLE = 1.0  # in seconds: a Date tells no parts of a second, so that it was made in the second that it names


@attrs.frozen
class Reading:
    """One answer: its Date, and when by our clock its request went out and it had come."""

    date: float
    sent: float
    received: float

    @property
    def off(self) -> float:
        """How far our clock is off at least, in seconds: more than 0 if it is ahead; 0 if it may be right."""
        ahead = self.sent - (self.date + _WHOLE)  # it was not made before the request went out
        behind = self.date - self.received
        return ahead if ahead > 0 else min(0.0, -behind)


def clock_error(reading: Reading | None, skew: float) -> ConfigurationError | None:
    """Return the error to refuse work with, if the reading proves that our clock is off by more than half of `skew`."""
    if reading is None or abs(reading.off) <= skew / 2:
        return None
    way = "ahead of" if reading.off > 0 else "behind"
    return ConfigurationError(
        f"this machine's clock is {abs(reading.off):.1f} s or more {way} that of the queue; leases hold only where "
        f"each worker's is within half of skew={skew:g} s: set the clock, or give all workers a larger skew"
    )


class Clock:
    """Our clock, as far as the answers that have come prove something about it."""

    def __init__(self, skew: float) -> None:
        self._skew = skew
        self.error: ConfigurationError | None = None
        """Why no work may be done by it; None as long as nothing is proven."""

    def heard(self, reading: Reading | None) -> None:
        """Take the reading of one more answer."""
        self.error = self.error or clock_error(reading, self._skew)
