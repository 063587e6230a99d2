"""What the throttles since the opening say about who else uses the bucket, and how strongly to answer the next one.

`RateLearner` explains every throttle by an empty bucket of its own. Four causes look alike to a single throttle:

- A bucket of one's own. Throttles come only where the model expects them, with the level near zero: a few per cent of
  the calls. What was served between two of them measures the refill to within one token.
- Strangers who take a share. The rate that is left is a smaller refill. If they ask for more than the refill, tokens go
  to clients in proportion to their requests, so a client that slows down without end gets nothing.
- Equal learners. All see the same share p of throttled calls. If each raises its rate x by a·√x a second and cuts it
  by a part b at a throttle, all end at x = (a / (b·p))^(2/3), which is the same x: that is fair, from any start. With
  constant a and b the waste of 64 learners on 40 calls a second is 40 %, as p grows with a/b. If both shrink together,
  a by the square, p shrinks too, and the noise in x. So the *gain* begins at 1, which finds the rate fast, and falls
  with the number of throttles, as in stochastic approximation. A bucket of one's own ends its work, or is measured
  well, before the gain falls. A learner that joins later has the larger gain and takes its share quickly; a smaller
  gain costs little of the share, which goes with its third root.
- Noise: throttles that do not depend on the rate. Then p(x) is constant, the goodput is x·(1 - p), and every cut is
  a loss. No single learner can distinguish this from a crowd, as it does not move the p of a crowd either. A test by
  its own rate (lower it, see whether p falls) was tried: it makes a crowd collapse, since each member takes the others
  for noise. What can be done safely is bounded:
  - A learner whose throttles contradict its model for some calls in a row *restarts* once, at half the believed rate
    and with a small gain. From there its rate falls like 1 / (b·p·t): slowly enough that a short run ends soon
    under heavy noise, and alike for all learners of a crowd, which so begin their descent at the same rate.
  - In a long run a few unexpected throttles are *forgiven*, at most one in fourteen served calls, and the fewer the
    lower the rate is: so noise of 5 % leaves half the rate or more, and the members of a crowd forgive nothing.

A long run under noise of 30 % or more stays slow. That is the price of not wasting half of a crowd's calls.
"""

from __future__ import annotations

import math

import attrs

FULL_GAIN = 22.0  # throttles that are answered in full
GAIN_FALLS = 6.0  # how steeply the gain falls with the number of further ones, as an exponent
LEAST_GAIN = 0.004
LONGEST_ROW = 3  # throttles in a row that count; more are of one drain, or of an outage
RESTARTED_AT = 60  # the count of throttles, and with it the gain, with which a restarted learner goes on

SURPLUS = 3.0  # tokens served beyond the measured rate that are still noise, with full gain

UNEXPECTED = 1.0  # what a throttle adds to the contradiction if the model had a token for it, and ...
EXPECTED = 0.3  # ... if it had none
SERVED = 0.25  # what a served call takes away: more than a fifth of the calls throttled is a contradiction
CONTRADICTED = 5.0
LONG_ROW = 3  # throttles in a row before another one that cuts a restarted learner's rate ...
CUT = 0.85  # ... to this part of it: so a crowd that restarts together comes down quickly

FORGIVEN = 0.07  # unexpected throttles that are forgiven, per served call, if the rate is high
FORGIVING_FROM = 5.0  # ... and calls/s at and below which none is
MOST_FORGIVEN = 5.0  # at once
SETTLED_AFTER = 300  # calls served before any throttle is forgiven
SURELY = 2.0  # tokens that the model must have had


@attrs.define
class ThrottleHistory:
    """Counts of served and throttled calls since the opening."""

    restarted: bool = attrs.field(default=False, init=False)
    _throttles: int = attrs.field(default=0, init=False)
    _served: int = attrs.field(default=0, init=False)
    _contradiction: float = attrs.field(default=0.0, init=False)
    _credit: float = attrs.field(default=0.0, init=False)
    """Throttles that may be forgiven now."""

    @property
    def gain(self) -> float:
        """How strongly a throttle, or the time without one, changes the rate: 1 at first, then less."""
        if self._throttles <= FULL_GAIN:
            return 1.0
        return max(LEAST_GAIN, math.pow(FULL_GAIN / self._throttles, GAIN_FALLS))

    @property
    def resume_weight(self) -> float:
        """How far below the measured rate a learner goes on after a throttle: 1 at first, then less."""
        return math.pow(self.gain, 0.5)

    @property
    def saved_weight(self) -> float:
        """How many tokens it saves."""
        return math.pow(self.gain, 0.4)

    @property
    def measured_weight(self) -> float:
        """How much a new measurement counts."""
        return math.pow(self.gain, 0.2)

    @property
    def surplus(self) -> float:
        """Tokens served beyond the measured rate that are still noise: they grow as the gain falls."""
        return SURPLUS / math.pow(self.gain, 0.5)

    def cut(self, in_a_row: int) -> float:
        """Return the part of its rate that a learner keeps at a throttle, after so many others in a row."""
        return CUT if self.restarted and in_a_row >= LONG_ROW else 1.0

    def count_served(self, rate: float) -> None:
        """Count a call that was served while the bucket was believed to give `rate`."""
        self._served += 1
        self._contradiction = max(0.0, self._contradiction - SERVED)
        if self._served > SETTLED_AFTER:
            earned = FORGIVEN * max(0.0, 1 - FORGIVING_FROM / rate)
            self._credit = min(MOST_FORGIVEN, self._credit + earned)

    def forgives(self, level: float) -> bool:
        """Return whether a throttle at this believed level changes nothing; it is not to be counted then."""
        if level < SURELY or self._credit < 1:
            return False
        self._credit -= 1
        return True

    def count_throttled(self, level: float, in_a_row: int) -> bool:
        """Count a throttle at this believed level, after so many others without a served call in between.

        Returns whether the model is contradicted so far that the learner is to restart; True at most once.
        """
        if in_a_row < LONGEST_ROW:
            self._throttles += 1
        if self.restarted or in_a_row > 1:
            return False
        self._contradiction += UNEXPECTED if level >= 1 else EXPECTED
        self.restarted = self._contradiction > CONTRADICTED
        if self.restarted:
            self._throttles = RESTARTED_AT
        return self.restarted
