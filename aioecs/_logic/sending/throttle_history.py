"""What the throttles since the opening say about who else uses the bucket, and how strongly to answer the next one.

`RateLearner` explains every throttle by an empty bucket of its own. Four causes look alike to a single throttle:

- A bucket of one's own. Throttles come only where the model expects them, with the level near zero: a few per cent of
  the calls. What was served between two of them measures the refill to within one token.
- Other users take a share. The rate that is left is a smaller refill. If they ask for more than the refill, tokens go
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
  - A learner whose throttles contradict its model for some calls in a row *restarts* once, at more than half the
    believed rate and with a small gain. From there its rate falls like 1 / (b·p·t): slowly enough that a short run ends
    soon under heavy noise, and alike for all learners of a crowd, which so begin their descent at the same rate.
  - While no more than 4 % are throttled, the gain does not fall: the learner looks for a higher rate as at first.
  Forgiving some throttles was tried, too: under 5 % of noise it is three times as fast, but of three learners one took
  most of the bucket.

A long run under noise of 5 % has a sixth of the rate that it could have, and one under 30 % or more less still. That is
the price of not wasting half of a crowd's calls.
"""

from __future__ import annotations

import math

import attrs

FULL_GAIN = 22.0  # throttles that are answered in full
GAIN_FALLS = 4.0  # how steeply the gain falls with the number of further ones, as an exponent
TOLERATED = 0.04  # throttles per served call that leave the gain as it is
MOST_THROTTLES = 85.0  # the count goes no higher, so that the gain falls no further
COUNTED_IN_A_ROW = 3  # throttles in a row that count; more are of one drain, or of an outage
RESTARTED_AT = 80.0  # the count of throttles, and with it the gain, with which a restarted learner goes on

SURPLUS = 3.0  # tokens served beyond the measured rate that are still noise, with full gain

UNEXPECTED = 1.0  # what a throttle adds to the contradiction if the model had a token for it, and ...
EXPECTED = 0.3  # ... if it had none
SERVED = 0.25  # what a served call takes away: more than a fifth of the calls throttled is a contradiction
CONTRADICTED = 5.0  # the contradiction beyond which the learner restarts
CUT_AFTER = 3  # throttles in a row before another one that cuts a restarted learner's rate ...
CUT = 0.85  # ... to this part of it: so a crowd that restarts together comes down quickly


@attrs.define
class ThrottleHistory:
    """Counts of served and throttled calls since the opening."""

    restarted: bool = attrs.field(default=False, init=False)
    _throttles: float = attrs.field(default=0.0, init=False)
    """Throttles beyond those that are tolerated."""
    _contradiction: float = attrs.field(default=0.0, init=False)

    @property
    def gain(self) -> float:
        """How strongly a throttle, or the time without one, changes the rate: 1 at first, then less."""
        if self._throttles <= FULL_GAIN:
            return 1.0
        return math.pow(FULL_GAIN / self._throttles, GAIN_FALLS)

    @property
    def resume_weight(self) -> float:
        """How far below the measured rate a learner goes on after a throttle: 1 at first, then less."""
        return math.pow(self.gain, 0.5)

    @property
    def saved_weight(self) -> float:
        """How many tokens a learner saves after a throttle: 1 at first, then less."""
        return math.pow(self.gain, 0.4)

    @property
    def measured_weight(self) -> float:
        """How much a new measurement counts: 1 at first, then less."""
        return math.pow(self.gain, 0.2)

    @property
    def surplus(self) -> float:
        """Tokens served beyond the measured rate that are still noise: they grow as the gain falls."""
        return SURPLUS / math.pow(self.gain, 0.5)

    def cut(self, in_a_row: int) -> float:
        """Return the part of its rate that a learner keeps at a throttle, after so many others in a row."""
        return CUT if self.restarted and in_a_row >= CUT_AFTER else 1.0

    def count_served(self) -> None:
        """Count a call that was served."""
        self._throttles = max(0.0, self._throttles - TOLERATED)
        self._contradiction = max(0.0, self._contradiction - SERVED)

    def count_throttled(self, level: float, in_a_row: int) -> bool:
        """Count a throttle at this believed level, after so many others without a served call in between.

        Returns whether the model is contradicted so far that the learner is to restart; True at most once.
        """
        if in_a_row < COUNTED_IN_A_ROW:
            self._throttles = min(self._throttles + 1, MOST_THROTTLES)
        if self.restarted or in_a_row > 1:
            return False
        self._contradiction += UNEXPECTED if level >= 1 else EXPECTED
        self.restarted = self._contradiction > CONTRADICTED
        if self.restarted:
            self._throttles = RESTARTED_AT
        return self.restarted
