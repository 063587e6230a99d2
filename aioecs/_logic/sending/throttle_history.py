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
- Random throttles, which do not depend on the rate. Then every cut is a loss. A learner can't distinguish them from a
  crowd by its own rate: one of many does not move the share of throttled calls. Lowering the rate to see whether that
  share falls was tried: it makes a crowd collapse, as each member takes the others for noise. What distinguishes them
  are the calls sent right after a throttle, see `probe`. They cost a few throttles if the bucket is empty, so only
  throttles that contradict the model are probed, at first after a few and later after more.

Where the contradiction goes on, the learner *restarts* once, at more than half the believed rate and with a small gain.
If the throttles aren't random, each takes a little off the rate, alike for all learners of a crowd, which so begin and
end their descent at the same rate.

Also tried: about one throttle in 20 seconds for each learner, whatever its rate, which wastes less but leaves shares
unequal for minutes; and calls in groups of five, whose order shows whether throttles come in clusters. That took some
hundred calls to be sure, and kept the rate low meanwhile.
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
SUSPICIOUS = 1.5  # the contradiction beyond which the cause of a throttle is probed; twice as much the next time, ...
MOST_SUSPICIOUS = 4.0  # ... up to this
CUT = 0.965  # the part of its rate that a restarted learner keeps at a throttle: so a crowd comes down quickly


@attrs.define
class ThrottleHistory:
    """Counts of served and throttled calls since the opening."""

    restarted: bool = attrs.field(default=False, init=False)
    _throttles: float = attrs.field(default=0.0, init=False)
    """Throttles beyond those that are tolerated."""
    _contradiction: float = attrs.field(default=0.0, init=False)
    _suspicion: float = attrs.field(default=0.0, init=False)
    """The contradiction since the last probe."""
    _probed_from: float = attrs.field(default=SUSPICIOUS, init=False)

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

    @property
    def kept(self) -> float:
        """The part of its rate that a learner keeps at a throttle."""
        return CUT if self.restarted else 1.0

    def wants_probe(self) -> bool:
        """Return whether to probe the cause of the latest throttle: those since the last probe contradict the model.

        If so, the count begins anew.
        """
        if self._suspicion < self._probed_from:
            return False
        self._suspicion, self._probed_from = 0.0, min(2 * self._probed_from, MOST_SUSPICIOUS)
        return True

    def count_served(self) -> None:
        """Count a call that was served."""
        self._throttles = max(0.0, self._throttles - TOLERATED)
        self._contradiction = max(0.0, self._contradiction - SERVED)
        self._suspicion = max(0.0, self._suspicion - SERVED)

    def count_throttled(self, surprising: bool, in_a_row: int) -> bool:
        """Count a throttle, after so many others with nothing served in between.

        It is surprising if the model had a token for it, or if little is known yet.

        Returns whether the model is contradicted so far that the learner is to restart; True at most once.
        """
        if in_a_row < COUNTED_IN_A_ROW:
            self._throttles = min(self._throttles + 1, MOST_THROTTLES)
        if in_a_row > 1:
            return False
        contradiction = UNEXPECTED if surprising else EXPECTED
        self._suspicion += contradiction
        if self.restarted:
            return False
        self._contradiction += contradiction
        self.restarted = self._contradiction > CONTRADICTED
        if self.restarted:
            self._throttles = RESTARTED_AT
        return self.restarted
