"""The opening of `rate_learner`: a bucket that is assumed full, and what it has served.

The first throttle ends the opening, as it shows an empty bucket. One that comes early, or where all calls were expected
to fit, may be random: see `probe`.
"""

from __future__ import annotations

import attrs

OPENING_SPEED = 6.0  # this multiple of the assumed rate is tried at least
OPENING_SHARE = 0.025  # ... with at most this part of all calls in flight: they are throttled if the bucket is small
LARGER_FACTOR = 2.0  # ... and this multiple of both once the bucket has exceeded the estimate
LARGER_FROM = 1.1  # ... by this factor
SLOW_START = 8  # calls in flight at first when all are expected to fit at once, and one more for each that was served
LEAST_KEPT = 0.25  # the first throttle cuts the estimate to no less than this part: the bucket may have been empty
SHORT_QUEUE = 80  # ... unless fewer calls are queued: they end before an estimate that is too high wastes many
EARLY = 0.4  # a throttle is early if the bucket has served less than this part of what it could have given


def evenly(rate: float, level: float, queued: int) -> float:
    """Return the speed at which the queue and the bucket run out together."""
    return rate * queued / (queued - level) if queued > level > 0 else rate


@attrs.define
class Opening:
    """Burst and rate as they are assumed, and what was served since the opening began."""

    burst: float
    rate: float
    began: float = 0.0
    served: int = 0

    def excess(self, now: float) -> float:
        """Return the calls served, relative to what a bucket of the assumed size could have given."""
        return self.served / (self.burst + self.rate * max(0.0, now - self.began))

    def speed(self, rate: float, level: float, queued: int) -> float:
        """Return the calls a second to try."""
        fastest = OPENING_SPEED * self.rate
        return min(max(fastest, rate), evenly(rate, level, queued)) if queued > level else fastest

    def window(self, now: float, level: float, queued: int, in_flight: int, round_trip: float) -> float:
        """Return how many may be in flight at any speed."""
        if queued <= level:
            return SLOW_START + self.served
        everything = self.served + in_flight + queued
        allowed = min(OPENING_SHARE * everything, OPENING_SPEED * self.rate * round_trip)
        return max(2.0, allowed * (LARGER_FACTOR if self.excess(now) > LARGER_FROM else 1))

    def rate_after(self, now: float, queued: int) -> float:
        """Return the estimate of the rate after the throttle that ends the opening."""
        kept = 1.0 if queued < SHORT_QUEUE else LEAST_KEPT
        return self.rate * max(kept, self.excess(now))
