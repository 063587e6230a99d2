"""Learns the size and rate of a token bucket, and decides when to send the next call; times are in seconds.

A bucket holds `burst` tokens, one a call, and regains `rate` a second. It throttles a call when it is empty, which
costs no token. Neither number is known, others may use the same bucket, and the published numbers are only the first
estimate.

A throttle shows that the bucket was empty when the call arrived. So between two throttles it went from empty to empty,
and the calls served in between, divided by the time, are our share of the refill to within one token. An unspent token
is not lost while the bucket isn't full: time is lost only when it overflows, or when tokens are left over at the end.
Throttles cost little if few calls are in flight when they begin. Three phases follow from that:

- Opening. The bucket is assumed full. Spend it evenly over the queue, so that both run out together: that is no faster
  than needed, so few calls are in flight at the first throttle, which ends the opening. See `opening`.
- Tracking. After a throttle, pause until a few tokens have accumulated, then go on below the measured rate, and
  steadily faster until the next throttle. The accumulated tokens are spent later, so that noise isn't mistaken for an
  empty bucket. The speed rises by nearly as much a second for all who share a bucket and falls back in proportion, so
  that shares converge. It rises faster while little is known of the rate, and where more is served than it allows.
- Waiting. A throttle with nothing served since the last one means a dry bucket: pauses double up to a limit, and one
  call at a time is sent. Tokens that are due meanwhile are counted, as a refill in steps adds them all at once. A
  silence longer than any step is an outage, and says nothing about the rate.

A bucket of one token overflows while tokens are saved: the smaller it is, the fewer are saved. Where it seems tiny (or
was empty at first), a pair of calls sent together decides. Throttles that do not come from an own bucket:
`throttle_history` is about other users and crowds of equal learners, `probe` about random throttles: they don't end the
opening, or begin it anew.
"""

from __future__ import annotations

import math

import attrs

from aioecs._logic.sending.opening import EARLY, OPENING_SPEED, Opening, evenly
from aioecs._logic.sending.probe import EARLY_PROBES, NOISY_PROBES, TRACKING_PROBES, Probe
from aioecs._logic.sending.throttle_history import ThrottleHistory
from aioecs._logic.sending.tracking import tracking_speed

SAVED_TOKENS = 3.6  # tokens that accumulate in the pause after a throttle, so that noise doesn't empty the bucket
RETRY_AFTER = 0.15  # tokens more: the wait for the one that was missing
LARGE_BUCKET = 18.0  # a bucket of this size fits them; in a smaller one fewer are saved, in proportion
KNOWN = 2  # measurements of much the same rate make it known
CHANGED_BY = 0.3  # a measurement that differs by this part of the rate counts as one of the first again
LEAST_SERVED = 5  # calls served, and ...
LEAST_SPAN = 0.8  # seconds passed, nearly one step of a stepped refill, for a measurement
LONGEST_PAUSE = 0.3  # the longest pause while the bucket is dry, in seconds; longer for lower rates
SILENCE = 1.5  # seconds without any call served, longer than a step: an outage, or no calls
PAIR_AFTER = 1.5  # tokens' time to wait before two calls are sent at once to a bucket that seems tiny
SAME_MOMENT = 0.25  # tokens' time: a bucket of one token doesn't serve two calls within it

ROUND_TRIP = 0.02  # in seconds, until one was measured
TIMER_DELAY = 0.02  # in seconds: a timer fires at most this late, and missed calls are caught up
FLOOR = 0.05  # the lowest estimate, in calls/s
MOST_NOISE = 4  # probes that show an empty bucket, until random throttles are no longer expected
RESTART = 0.6  # the part of the assumed rate with which a contradicted learner restarts


@attrs.define
class RateLearner:
    """Learns a bucket, as the module describes. The first estimate is the published numbers."""

    _burst: float = 100.0
    _rate: float = 40.0
    _level: float = attrs.field(init=False)
    _published: Opening = attrs.field(init=False)
    """The first opening."""
    _start: Opening = attrs.field(init=False)
    """The latest one."""
    _opening: bool = attrs.field(default=True, init=False)
    _first_drain: tuple[int, float] | None = attrs.field(default=None, init=False)  # calls served in so many seconds
    _in_flight: int = attrs.field(default=0, init=False)
    _round_trip: float | None = attrs.field(default=None, init=False)
    _speed: float = attrs.field(default=1.0, init=False)
    _since_empty: int = attrs.field(default=0, init=False)
    _since_base: int = attrs.field(default=0, init=False)
    _measured: int = attrs.field(default=0, init=False)
    """Consecutive measurements of much the same rate."""
    _history: ThrottleHistory = attrs.field(factory=ThrottleHistory, init=False)
    _dry: int = attrs.field(default=0, init=False)
    """Consecutive throttles with nothing served in between."""
    _pair: int = attrs.field(default=0, init=False)
    """Calls of a pair that are still to be sent."""
    _paired: bool = attrs.field(default=False, init=False)
    _pair_sent: bool = attrs.field(default=False, init=False)

    _queued: int = attrs.field(default=1, init=False)
    """Calls that were queued when last asked."""
    _probe: Probe | None = attrs.field(default=None, init=False)
    """The throttle whose cause is being found out."""
    _noise: int = attrs.field(default=0, init=False)
    """How many more probes showed random throttles than an empty bucket; random throttles are expected if any did."""

    _now: float | None = attrs.field(default=None, init=False)
    _slot: float = attrs.field(default=-math.inf, init=False)
    """When the latest call should have been sent: the next one is due a step after it."""
    _resumed: float = attrs.field(default=-math.inf, init=False)
    """The end of the latest pause."""
    _reacted: float = attrs.field(default=-math.inf, init=False)
    """When a throttle was last reacted to; throttles of calls sent before it are of the same drain."""
    _empty: float = attrs.field(default=0.0, init=False)
    """When the bucket was last known to be empty."""
    _base: float = attrs.field(default=0.0, init=False)
    """When the current measurement began, with an empty bucket."""
    _last_sent: float = attrs.field(default=-math.inf, init=False)
    _last_served: float = attrs.field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self._level = self._burst
        self._published = self._start = Opening(self._burst, self._rate)

    @property
    def rate(self) -> float:
        """Our share of the refill, in calls a second, as far as it is known."""
        return self._rate

    @property
    def burst(self) -> float:
        """The size of the bucket, in calls, as far as it is known."""
        return self._burst

    def next_at(self, now: float, left: int | None = None) -> float | None:
        """Return when to send next, never before `now`; a second call changes nothing."""
        self._advance(now)
        queued = self._queued = left or 1
        start, trip = self._start, self._round_trip_time(now)
        if self._probe is not None:
            return now if self._probe.may_send(self._in_flight) else max(now, self._last_sent + SILENCE + 2 * trip)
        if self._opening:
            self._speed = start.speed(self._rate, self._level, queued)
            if self._in_flight < start.window(now, self._level, queued, self._in_flight, trip):
                return now
        else:
            self._speed = self._tracking_speed(now, left)
        if self._pair:
            return max(now, self._resumed)
        due = max(now, self._resumed, self._slot + 1 / self._speed)
        if self._dry and self._in_flight:
            # One at a time. An answer that never arrives must not block all others.
            return max(due, self._last_sent + SILENCE + 2 * trip)
        return due

    def sent(self, now: float) -> None:
        """Count a call as in flight."""
        self._advance(now)
        if self._probe is not None:
            self._probe.sent(self._in_flight)
        self._level -= 1
        self._in_flight += 1
        self._pair = max(0, self._pair - 1)
        self._last_sent = now
        self._slot = max(self._slot + 1 / self._speed, now - TIMER_DELAY)

    def unsent(self, now: float, at: float) -> None:
        """Return the permit."""
        self._advance(now)
        if self._probe is not None:
            self._probe.unsent(at)
        self._level += 1
        self._in_flight = max(0, self._in_flight - 1)
        self._slot -= 1 / self._speed

    def answered(self, now: float, ok: bool, at: float) -> None:
        """Learn from the end of a call; it is assumed to have reached the bucket half-way."""
        self._advance(now)
        trip = max(0.0, now - at)
        met = now - trip / 2
        self._in_flight = max(0, self._in_flight - 1)
        self._round_trip = trip if self._round_trip is None else self._round_trip + (trip - self._round_trip) / 10
        if ok:
            self._learn_served(now, met)
        elif self._probe is None:
            self._learn_throttled(now, met, at)
        if self._probe is not None:
            self._probe.answered(at, met, ok)
            self._judge(self._probe, now, met)

    def _judge(self, probe: Probe, now: float, met: float) -> None:
        """Go on once the cause of the throttle is known."""
        if probe.shows_random(met):
            self._probe, self._noise = None, min(self._noise + 1, MOST_NOISE)
            if not self._opening:
                self._reopen(now)
        elif probe.shows_empty(self._in_flight):
            self._probe, self._noise = None, max(self._noise - 1, 0)
            self._learn_empty(now, probe.empty_at)

    def _advance(self, now: float) -> None:
        if self._now is None:
            self._start.began = now
        elif now < self._now:
            self._set_back(self._now - now)
        else:
            self._level += self._rate * (now - self._now)
        self._now = now
        if self._level >= self._burst:
            self._level = self._burst
            if not self._in_flight and now - self._last_sent > self._silence():
                self._open(now)

    def _set_back(self, by: float) -> None:
        self._start.began -= by
        if self._probe is not None:
            self._probe.set_back(by)
        for moment in ("slot", "resumed", "reacted", "empty", "base", "last_sent", "last_served"):
            setattr(self, f"_{moment}", getattr(self, f"_{moment}") - by)

    def _silence(self) -> float:
        return max(SILENCE, 3 / self._rate)

    def _round_trip_time(self, now: float) -> float:
        return max(ROUND_TRIP, now - self._start.began) if self._round_trip is None else self._round_trip

    def _open(self, now: float) -> None:
        self._opening, self._dry, self._probe = True, 0, None
        self._history = ThrottleHistory()
        self._start = Opening(self._burst, self._rate, now)

    def _reopen(self, now: float) -> None:
        """Begin anew: what was learnt from random throttles is worth nothing."""
        self._burst = self._level = max(self._burst, self._published.burst)
        self._rate, self._first_drain = max(self._rate, self._published.rate), None
        self._resumed = self._slot = now
        self._open(now)

    def _end_opening(self, now: float, met: float) -> None:
        lasted = max(1e-3, met - self._start.began)
        self._rate = max(FLOOR, self._start.rate_after(met, self._queued))
        self._opening, self._first_drain = False, (self._start.served, lasted)
        self._burst = max(1.0, self._start.served - self._rate * lasted)
        self._empty = self._base = met
        self._level, self._since_empty, self._since_base, self._dry, self._measured = 0.0, 0, 0, 0, 0
        self._pair_sent = False
        self._pause(now)

    def _saving(self) -> float:
        return min(1.0, self._burst / LARGE_BUCKET)

    def _tracking_speed(self, now: float, left: int | None) -> float:
        rate, in_flight = self._rate, self._rate * self._round_trip_time(now)
        elapsed, surplus = max(0.0, now - self._resumed), self._since_empty - rate * (now - self._empty)
        speed = tracking_speed(rate, self._saving(), self._measured, in_flight, self._history, elapsed, surplus)
        if left is None or self._level <= 0:
            return speed
        return max(speed, evenly(rate, self._level, left) if left > self._level + 1 else OPENING_SPEED * rate)

    def _learn_served(self, now: float, met: float) -> None:
        if not self._opening and met - self._last_served < SAME_MOMENT / self._rate:
            self._burst = max(self._burst, LARGE_BUCKET)
        self._start.served += 1
        self._dry, self._last_served = 0, met
        if self._opening:
            self._grow(now)
            return
        self._history.count_served()
        self._since_base += met > self._base
        if met > self._empty:
            self._since_empty += 1
            self._raise_rate(met - self._empty)

    def _raise_rate(self, elapsed: float) -> None:
        if self._since_empty > max(2 * LEAST_SERVED, self._rate * elapsed + 2 * self._history.surplus):
            self._rate = max(FLOOR, (self._since_empty - 1) / elapsed)
            self._measured = min(self._measured, 1)

    def _grow(self, now: float) -> None:
        excess = self._start.excess(now)
        if excess > 1:
            self._burst, self._rate = excess * self._start.burst, excess * self._start.rate
            self._level = min(self._level, -float(self._in_flight))

    def _learn_throttled(self, now: float, met: float, at: float) -> None:
        """React to a throttle: probe its cause, if that is not clear."""
        if not self._opening and at < self._reacted:
            if met > self._empty:
                self._empty, self._since_empty = met, 0
        elif not self._opening and self._history.count_throttled(self._has_tokens(), self._dry):
            self._restart(now, met)
        elif (probes := self._probes(now)) is not None:
            self._probe = Probe(at, met, now, max(self._rate, self._published.rate), probes, noisy=self._noise > 0)
        else:
            self._learn_empty(now, met)

    def _has_tokens(self) -> bool:
        """Return whether the latest throttle is a surprise: tokens are believed to be left, or little is known yet."""
        return self._level >= 0 or (self._measured < KNOWN and not self._dry and self._burst > 1)

    def _probes(self, now: float) -> int | None:
        """Return how many calls are to show the cause of a throttle at first; None if an empty bucket explains it."""
        if self._noise:
            return NOISY_PROBES
        if self._opening:
            early = self._start.excess(now) < EARLY
            return EARLY_PROBES if early else 0 if self._queued <= self._level else None
        return TRACKING_PROBES if not self._paired and self._history.wants_probe() else None

    def _restart(self, now: float, met: float) -> None:
        """Forget what was learnt about the bucket."""
        self._rate = max(self._rate, RESTART * self._start.rate)
        self._burst = max(self._burst, LARGE_BUCKET)
        self._empty = self._base = met
        self._level, self._since_empty, self._since_base, self._dry = 0.0, 0, 0, 0
        self._measured, self._first_drain = 3, None
        self._pause(now)

    def _learn_empty(self, now: float, met: float) -> None:
        """React to an empty bucket."""
        if self._opening:
            self._end_opening(now, met)
            return
        self._rate = max(FLOOR, self._rate * self._history.kept)
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
        """Take the calls served from empty to empty as our share of the refill."""
        rate = self._since_base / (met - self._base)
        much_the_same = abs(rate - self._rate) < CHANGED_BY * self._rate
        self._measured = self._measured + 1 if much_the_same else min(self._measured, 1)
        self._learn_rate(rate)
        self._base, self._since_base = met, 0
        if self._first_drain is not None:
            served, lasted = self._first_drain
            self._burst = max(1.0, self._burst if self._burst == LARGE_BUCKET else 1.0, served - rate * lasted)
            self._first_drain = None

    def _learn_rate(self, rate: float) -> None:
        self._rate = max(FLOOR, self._rate + self._history.measured_weight * (rate - self._rate))

    def _pause(self, now: float) -> None:
        if self._burst < LARGE_BUCKET / 2 and self._measured and not self._pair_sent:
            self._pair, self._paired, self._pair_sent = 2, True, True
            pause = PAIR_AFTER / self._rate
        else:
            self._pair = 0
            tokens = RETRY_AFTER + SAVED_TOKENS * self._saving() * self._history.saved_weight
            pause = tokens / self._rate * 2.0 ** min(self._dry, 8)
            pause = min(pause, max(LONGEST_PAUSE, 1 / self._rate))
        self._resumed, self._reacted = now + pause, now
        self._slot = self._resumed - 1 / self._rate
