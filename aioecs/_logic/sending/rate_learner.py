"""When to send the next call to a token bucket: pure arithmetic on a time that is given, in seconds.

A bucket holds `burst` calls, regains `rate` a second, and throttles a call that finds it empty, at no cost to it.
Neither number is known; the published ones are only where belief begins.

What is known for certain. A throttle says that the bucket was empty when it came. So between two throttles it went from
empty to empty, and what was served in between, divided by the time, is our share of the refill to within one token,
whatever happened in between. A token that isn't spent is not lost while the bucket isn't full: time is lost only when
it overflows, or when tokens are left over at the end. And throttles cost little if few calls are on their way when
they begin. Three acts follow from that:

- Opening. The bucket is believed full. Spend it evenly over the queue, so that both run out together: with `left` calls
  and a level of L, `rate * left / (left - L)`. So the first throttle finds few calls in flight. A little beyond it is
  tried all the time; where more was served than the believed bucket could give, belief grows with it. The first
  throttle ends the opening: belief shrinks in proportion to what was served.
- Pacing. After a throttle, pause until a few tokens have gathered, then go on below the measured rate, and faster
  steadily until the next throttle. The speed rises by nearly as much a second for all who share a bucket and falls in
  proportion, so shares become equal. While little is known of the rate it rises quickly. Where more is served than
  the measured rate allows, it rises the faster, until measured anew: somebody left, or the refill grew.
- Waiting. A throttle with nothing served since the last one: the bucket is dry. Pauses double up to a limit, and one
  call is in flight at a time. Tokens that should have come meanwhile are counted, as a refill in steps brings them all
  at once. A silence longer than any step is an outage, and says nothing about the rate.

In a bucket of one, a token that is saved overflows. The opening shows how large the bucket is. Where it seems tiny, or
was empty to begin with, a pair of calls shows it. The room for saving shrinks with its size.

Throttles that do not come from an own bucket (noise, strangers, a crowd of equal learners): see `throttle_history`.
"""

from __future__ import annotations

import math

import attrs

from aioecs._logic.sending.throttle_history import ThrottleHistory

OPENING_SPEED = 6.0  # opening: so many times the believed rate is tried at least
OPENING_SHARE = 0.025  # ... with at most this part of all calls in flight: those are wasted if the bucket is small
LARGER_FACTOR = 2.0  # ... and so many times more of both once the bucket has outdone the belief
LARGER_FROM = 1.1  # ... which is believed from this proportion on
LEAST_KEPT = 0.25  # the first throttle cuts belief to no less than this: an empty bucket and a small one look alike
SLOW_START = 8  # calls in flight at first when all are believed to fit at once; and one more for each served

SAVED_TOKENS = 3.0  # tokens that gather in the pause after a throttle, to stand between noise and emptiness
RETRY_AFTER = 0.15  # tokens more: the wait for the one that the throttle missed, even where nothing can be saved
RESUME_BELOW = 0.4  # how far below the measured rate we go on, as a part of it
ROOMY = 18.0  # a bucket of this size has room for both; in a smaller one they shrink in proportion
RISE = 1.3  # by how much the rate rises, in calls/s per second, for a rate of 1/s; it grows with the square root
UNMEASURED_RISE = 1.5  # how fast it rises before the first measurement, as a part of the rate per second
RISE_DECAY = 0.2  # by how much that falls with each further measurement
CHANGED_BY = 0.3  # a measurement that is so far off, as a part of the rate, counts as one of the first again
HALVING_FLIGHT = 20.0  # calls in flight that halve the rise: only their answers show that it was too fast
SURPLUS_DOUBLES = 4.0  # tokens served beyond the measured rate and what is still noise that double the rate

LEAST_SERVED = 5  # calls served, and ...
LEAST_SPAN = 0.8  # seconds passed, nearly one step of a stepped refill, for a measurement
LONGEST_PAUSE = 0.3  # in seconds, while the bucket is dry; a low rate may ask for more
SILENCE = 1.5  # seconds without any call served, longer than a step: an outage, or nobody asked
PAIR_AFTER = 1.5  # tokens' time to wait before a bucket that seems tiny is asked for two at once
SAME_MOMENT = 0.25  # tokens' time: two served within it did not come out of a bucket of one

ROUND_TRIP = 0.02  # in seconds, as long as none was measured
TIMER_DELAY = 0.02  # in seconds: a timer fires so late at most, and what was missed is caught up
FLOOR = 0.05  # calls/s that are believed at least

RESTART = 0.6  # the part of the believed rate with which a contradicted learner restarts


@attrs.define
class RateLearner:
    """A bucket that is learnt; the module says how. It begins with a belief: the published numbers."""

    _burst: float = 100.0
    _rate: float = 40.0
    _level: float = attrs.field(init=False)
    _believed: tuple[float, float] = attrs.field(init=False)
    """Burst and rate as they were when the opening began."""
    _opening: bool = attrs.field(default=True, init=False)
    _first_drain: tuple[int, float] | None = attrs.field(default=None, init=False)
    """Calls served and seconds passed in the opening, until the rate is measured."""
    _served: int = attrs.field(default=0, init=False)
    """Since the opening began."""
    _in_flight: int = attrs.field(default=0, init=False)
    _round_trip: float | None = attrs.field(default=None, init=False)
    _speed: float = attrs.field(default=1.0, init=False)
    """Calls a second at this moment."""
    _since_empty: int = attrs.field(default=0, init=False)
    _since_base: int = attrs.field(default=0, init=False)
    _measured: int = attrs.field(default=0, init=False)
    """Times in a row that the rate was measured and much the same."""
    _history: ThrottleHistory = attrs.field(factory=ThrottleHistory, init=False)
    _dry: int = attrs.field(default=0, init=False)
    """Throttles in a row with nothing served in between."""
    _pair: int = attrs.field(default=0, init=False)
    """Calls of a pair that are still to be sent."""
    _paired: bool = attrs.field(default=False, init=False)
    """The time before a pair says nothing about the rate."""
    _asked: bool = attrs.field(default=False, init=False)
    """For a pair, since the opening."""

    _now: float | None = attrs.field(default=None, init=False)
    _opened: float = attrs.field(default=0.0, init=False)
    _slot: float = attrs.field(default=-math.inf, init=False)
    """When the latest call should have been sent: the next one is due a step after it."""
    _resumed: float = attrs.field(default=-math.inf, init=False)
    """The end of the latest pause."""
    _reacted: float = attrs.field(default=-math.inf, init=False)
    """When a throttle was last answered; throttles of calls sent before it are of the same drain."""
    _empty: float = attrs.field(default=0.0, init=False)
    """When the bucket was last known to be empty."""
    _base: float = attrs.field(default=0.0, init=False)
    """When the measurement under way began, with an empty bucket."""
    _last_sent: float = attrs.field(default=-math.inf, init=False)
    _last_served: float = attrs.field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self._level = self._burst
        self._believed = self._burst, self._rate

    @property
    def rate(self) -> float:
        """Our share of the refill, in calls a second, as far as it is known."""
        return self._rate

    @property
    def burst(self) -> float:
        """The size of the bucket, in calls, as far as it is known."""
        return self._burst

    # ---------------------------------------------------------------------------------------------------- the interface

    def next_at(self, now: float, left: int | None = None) -> float | None:
        """Return when to send next, never before `now`; asking twice changes nothing."""
        self._advance(now)
        queued = left or 1
        self._speed = self._opening_speed(queued) if self._opening else self._pacing_speed(now, left)
        if self._opening and self._in_flight < self._window(now, queued):
            return now
        if self._pair:
            return max(now, self._resumed)
        due = max(now, self._resumed, self._slot + 1 / self._speed)
        if self._dry and self._in_flight:
            # One at a time. An answer that never comes must not stop everything.
            return max(due, self._last_sent + SILENCE + 2 * self._trip(now))
        return due

    def sent(self, now: float) -> None:
        """Count a call as on its way."""
        self._advance(now)
        self._level -= 1
        self._in_flight += 1
        self._pair = max(0, self._pair - 1)
        self._last_sent = now
        self._slot = max(self._slot + 1 / self._speed, now - TIMER_DELAY)

    def unsent(self, now: float, _at: float) -> None:
        """Give the turn back."""
        self._advance(now)
        self._level += 1
        self._in_flight = max(0, self._in_flight - 1)
        self._slot -= 1 / self._speed

    def answered(self, now: float, ok: bool, at: float) -> None:
        """Learn from the end of a call; it is taken to have met the bucket half-way."""
        self._advance(now)
        trip = max(0.0, now - at)
        met = now - trip / 2
        self._in_flight = max(0, self._in_flight - 1)
        self._round_trip = trip if self._round_trip is None else self._round_trip + (trip - self._round_trip) / 10
        if ok:
            self._learn_served(now, met)
        elif self._opening:
            self._end_opening(now, met)
        elif at >= self._reacted:
            self._learn_throttled(now, met)
        elif met > self._empty:
            self._empty, self._since_empty = met, 0

    def _advance(self, now: float) -> None:
        if self._now is None:
            self._opened = now
        elif now < self._now:
            self._set_back(self._now - now)  # the clock was set back
        else:
            self._level += self._rate * (now - self._now)
        self._now = now
        if self._level >= self._burst:
            self._level = self._burst
            if not self._in_flight and now - self._last_sent > self._silence():
                self._open(now)

    def _set_back(self, by: float) -> None:
        for moment in ("opened", "slot", "resumed", "reacted", "empty", "base", "last_sent", "last_served"):
            setattr(self, f"_{moment}", getattr(self, f"_{moment}") - by)

    def _silence(self) -> float:
        return max(SILENCE, 3 / self._rate)

    def _trip(self, now: float) -> float:
        return max(ROUND_TRIP, now - self._opened) if self._round_trip is None else self._round_trip

    # ---------------------------------------------------------------------------------------------------------- opening

    def _open(self, now: float) -> None:
        self._opening, self._opened, self._served, self._dry = True, now, 0, 0
        self._history = ThrottleHistory()
        self._believed = self._burst, self._rate

    def _opening_speed(self, queued: int) -> float:
        bold = OPENING_SPEED * self._believed[1]
        return min(max(bold, self._rate), self._evenly(queued)) if queued > self._level else bold

    def _evenly(self, queued: int) -> float:
        """The speed at which the queue and the bucket run out together."""
        return self._rate * queued / (queued - self._level) if queued > self._level > 0 else self._rate

    def _window(self, now: float, queued: int) -> float:
        """How many may be on their way, whatever the speed."""
        if queued <= self._level:
            return SLOW_START + self._served
        everything = self._served + self._in_flight + queued
        venture = min(OPENING_SHARE * everything, OPENING_SPEED * self._believed[1] * self._trip(now))
        return max(2.0, venture * (LARGER_FACTOR if self._outdone(now) > LARGER_FROM else 1))

    def _outdone(self, now: float) -> float:
        """What was served, as a part of what the bucket of the belief could have given."""
        burst, rate = self._believed
        return self._served / (burst + rate * max(0.0, now - self._opened))

    def _end_opening(self, now: float, met: float) -> None:
        lasted = max(1e-3, met - self._opened)
        self._rate = max(FLOOR, self._believed[1] * max(LEAST_KEPT, self._outdone(met)))
        self._opening, self._first_drain = False, (self._served, lasted)
        self._burst = max(1.0, self._served - self._rate * lasted)
        self._empty = self._base = met
        self._level, self._since_empty, self._since_base, self._dry, self._measured = 0.0, 0, 0, 0, 0
        self._asked = False
        self._pause(now)

    # ----------------------------------------------------------------------------------------------------------- pacing

    def _room(self) -> float:
        return min(1.0, self._burst / ROOMY)

    def _pacing_speed(self, now: float, left: int | None) -> float:
        rate, room = self._rate, self._room()
        afloat = rate * self._trip(now)
        rise = self._history.gain * max(
            RISE * math.sqrt(rate) * room * room, UNMEASURED_RISE * rate * RISE_DECAY**self._measured
        )
        resume = rate * (1 - RESUME_BELOW * room * self._history.resume_weight)
        speed = resume + rise / (1 + afloat / HALVING_FLIGHT) * max(0.0, now - self._resumed)
        surplus = self._since_empty - rate * (now - self._empty) - self._history.surplus
        if surplus > 0:
            speed *= 1 + surplus / (SURPLUS_DOUBLES + afloat)
        if left is None or self._level <= 0:
            return speed
        return max(speed, self._evenly(left) if left > self._level + 1 else OPENING_SPEED * rate)

    def _learn_served(self, now: float, met: float) -> None:
        if not self._opening and met - self._last_served < SAME_MOMENT / self._rate:
            self._burst = max(self._burst, ROOMY)
        self._served += 1
        self._dry = 0
        self._last_served = met
        if self._opening:
            self._grow(now)
            return
        self._history.count_served()
        self._since_base += met > self._base
        if met > self._empty:
            self._since_empty += 1
            self._outgrow(met - self._empty)

    def _outgrow(self, elapsed: float) -> None:
        """Take the rate for higher where more was served since the bucket was empty than it would have given."""
        if self._since_empty > max(2 * LEAST_SERVED, self._rate * elapsed + 2 * self._history.surplus):
            self._rate = max(FLOOR, (self._since_empty - 1) / elapsed)
            self._measured = min(self._measured, 1)

    def _grow(self, now: float) -> None:
        outdone = self._outdone(now)
        if outdone > 1:
            self._burst, self._rate = (outdone * each for each in self._believed)
            self._level = min(self._level, -float(self._in_flight))

    def _learn_throttled(self, now: float, met: float) -> None:
        """Answer a throttle as the history of throttles says."""
        level = self._level + 1
        if self._history.count_throttled(level, self._dry):
            self._restart(now, met)
        else:
            self._rate = max(FLOOR, self._rate * self._history.cut(self._dry))
            self._learn_empty(now, met)

    def _restart(self, now: float, met: float) -> None:
        """Forget what was learnt about the bucket."""
        self._rate = max(self._rate, RESTART * self._believed[1])
        self._burst = max(self._burst, ROOMY)
        self._empty = self._base = met
        self._level, self._since_empty, self._since_base, self._dry = 0.0, 0, 0, 0
        self._measured, self._first_drain = 3, None
        self._pause(now)

    def _learn_empty(self, now: float, met: float) -> None:
        if self._since_empty:
            self._dry, self._level = 0, 0.0
        else:
            self._dry, self._level = self._dry + 1, self._level + 1
        if self._paired or (self._dry and met - self._last_served > self._silence()):
            self._measured = self._measured if self._paired else 0
            self._paired, self._base, self._since_base = False, met, 0
        elif self._since_base >= LEAST_SERVED and met - self._base >= LEAST_SPAN:
            self._measure(met)
        elif not self._dry and (self._first_drain or met - self._base >= LEAST_SPAN):
            self._learn_rate(min(self._rate, (self._since_base + 1) / max(1e-3, met - self._base)))
        self._empty, self._since_empty = met, 0
        self._pause(now)

    def _measure(self, met: float) -> None:
        """Take what was served from empty to empty for our share of the refill."""
        rate = self._since_base / (met - self._base)
        much_the_same = abs(rate - self._rate) < CHANGED_BY * self._rate
        self._measured = self._measured + 1 if much_the_same else min(self._measured, 1)
        self._learn_rate(rate)
        self._base, self._since_base = met, 0
        if self._first_drain is not None:
            served, lasted = self._first_drain
            self._burst = max(1.0, self._burst if self._burst == ROOMY else 1.0, served - rate * lasted)
            self._first_drain = None

    def _learn_rate(self, rate: float) -> None:
        self._rate = max(FLOOR, self._rate + self._history.measured_weight * (rate - self._rate))

    def _pause(self, now: float) -> None:
        pair = self._burst < ROOMY / 2 and self._measured and not self._asked
        if pair:
            self._pair, self._paired, self._asked = 2, True, True
            rest = PAIR_AFTER / self._rate
        else:
            self._pair = 0
            rest = (
                (RETRY_AFTER + SAVED_TOKENS * self._room() * self._history.saved_weight)
                / self._rate
                * 2.0 ** min(self._dry, 8)
            )
            rest = min(rest, max(LONGEST_PAUSE, 1 / self._rate))
        self._resumed, self._reacted = now + rest, now
        self._slot = self._resumed - 1 / self._rate
