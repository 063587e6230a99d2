"""Finds out whether a throttle shows an empty bucket or is random, from the calls sent right after it.

A single throttle does not show its cause. What becomes of the next calls does, if they follow within a round trip or
two: an empty bucket serves one of them, and what is refilled meanwhile. If more are served, the bucket was not empty.
That holds whether the bucket is one's own or a crowd's, and whatever is believed of the rate.

So nothing is concluded from such a throttle until a few calls, the probes, have ended. Calls that were in flight count
too, if they were sent after the throttled one. All ends are awaited: ECS answers a throttled call sooner than a served
one, so the first answers show too many throttles.
"""

from __future__ import annotations

import attrs

EARLY_PROBES = 2  # probes after a throttle that comes early in the opening
TRACKING_PROBES = 1  # ... after one that comes later, and contradicts what was learnt
NOISY_PROBES = 5  # ... while throttles are known to be random
SECOND_PROBES = 2  # probes more once one was served, which may have been the token that was missing ...
FURTHER_PROBES = 4  # ... and for each further one that was served
SURPLUS = 2.5  # calls served, beyond the refill, that show random throttles ...
NOISY_SURPLUS = 1.5  # ... if they are known already


@attrs.define
class Probe:
    """A throttle whose cause is not known yet, and what became of the calls sent after it."""

    at: float
    """When the throttled call was sent."""
    met: float
    """When it reached the bucket."""
    began: float
    """When it was answered."""
    rate: float
    """The highest refill that is assumed, in calls a second."""
    first: int
    """How many probes are sent at first; 0: only the calls in flight count."""
    noisy: bool = False
    """Throttles are known to be random."""
    empty_at: float = attrs.field(init=False)
    """When a call was last throttled."""
    _evidence: int = attrs.field(default=0, init=False)
    """Probes sent, and calls in flight that have ended."""
    _served: int = attrs.field(default=0, init=False)
    _throttled: int = attrs.field(default=0, init=False)
    _probing: bool = attrs.field(default=False, init=False)
    _overdue: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.empty_at = self.met

    def may_send(self, in_flight: int) -> bool:
        """Return whether to send a probe now; the first waits for the calls in flight, which may make it needless."""
        return self._evidence < self._wanted and (self.noisy or self._probing or not in_flight)

    def sent(self, in_flight: int) -> None:
        """Count a probe. One that was not to be sent yet ends the waiting for answers that never come."""
        self._overdue |= not self.may_send(in_flight)
        self._evidence += 1
        self._probing = True

    def unsent(self, at: float) -> None:
        """Remove a probe that was not sent after all."""
        self._evidence -= at >= self.began

    def answered(self, at: float, met: float, ok: bool) -> None:
        """Count the end of a call; one sent before the throttled call shows nothing."""
        if at < self.at or met <= self.met:
            return
        self._evidence += at < self.began
        self._served += ok
        self._throttled += not ok
        if not ok:
            self.empty_at = max(self.empty_at, met)

    def set_back(self, by: float) -> None:
        """Adjust to a clock that was set back."""
        self.at, self.met, self.began, self.empty_at = self.at - by, self.met - by, self.began - by, self.empty_at - by

    def shows_random(self, met: float) -> bool:
        """Return whether more was served, of the calls that arrived by then, than an empty bucket could have given."""
        refilled = self.rate * (met - self.met)
        if self.noisy:
            return self._served > NOISY_SURPLUS + refilled
        return self._served > max(self._throttled, SURPLUS + refilled)

    def shows_empty(self, in_flight: int) -> bool:
        """Return whether all ends are known, and do not show random throttles."""
        return self._overdue or (not in_flight and self._evidence >= self._wanted)

    @property
    def _wanted(self) -> int:
        if not self.first or not self._served:
            return self.first
        return self.first + SECOND_PROBES + FURTHER_PROBES * (self._served - 1)
