"""A simulation of token buckets, clients and latencies in virtual time, and the scenarios for rate limiters.

The second part adds random throttles, strangers who take a share of the bucket, and crowds of equal learners.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import attrs

from aioecs._logic.sending.rate_learner import RateLearner
from aioecs._logic.sending.rate_limiter import RateLimiter

Latency = Callable[[random.Random], float]

MAX_IN_FLIGHT = 512  # calls in flight of one client, at most


def around(middle: float) -> Latency:
    """Return a latency of about `middle` seconds."""
    return lambda rng: middle * rng.lognormvariate(0, 0.25)


NEAR = around(0.02)


@attrs.define
class Bucket:
    """A token bucket; refilled in steps of a second if `phase`, that of the first step, is given."""

    burst: float
    rate: float
    level: float
    phase: float | None = None
    rates: tuple[tuple[float, float], ...] = ()
    """Changes of the rate: when, to what."""
    now: float = 0.0

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        while self.rates and self.rates[0][0] <= now:
            (when, rate), *later = self.rates
            self._refill(when)
            self.rate, self.rates = rate, tuple(later)
        self._refill(now)
        if self.level < 1 - 1e-9:
            return False
        self.level -= 1
        return True

    def _refill(self, now: float) -> None:
        elapsed = now - self.now
        if self.phase is not None:
            elapsed = math.floor(now - self.phase) - math.floor(self.now - self.phase)
        self.level = min(self.burst, self.level + elapsed * self.rate)
        self.now = now


@attrs.define(eq=False)
class Job:
    """Calls that are queued at one time; throttled ones are queued again until all are done."""

    begun: float
    count: int
    done: int = 0
    wasted: int = 0
    ended: float = math.inf

    @property
    def took(self) -> float:
        """The duration, in seconds."""
        return self.ended - self.begun


@attrs.define(eq=False)
class _Client:
    limiter: RateLimiter
    queue: deque[Job] = attrs.Factory(deque)
    in_flight: int = 0
    wake_at: float = math.inf


class Simulation:
    """Runs clients against a bucket, event by event."""

    def __init__(self, bucket: Bucket, latency: Latency, seed: int) -> None:
        self._bucket, self._latency = bucket, latency
        self._rng = random.Random(seed)
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []

    def add(self, limiter: RateLimiter, *jobs: Job) -> None:
        """Add a client with these jobs."""
        client = _Client(limiter)
        for job in jobs:
            self._at(job.begun, lambda now, job=job: self._begin(client, job, now))  # type: ignore[misc]

    def run(self, until: float = 5_000) -> None:
        """Run until there are no more events, or until this time."""
        while self._events:
            now, _, callback = heapq.heappop(self._events)
            if now > until:
                return
            callback(now)

    def _at(self, when: float, callback: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), callback))

    def _begin(self, client: _Client, job: Job, now: float) -> None:
        """Mix a job fairly with those that are queued."""
        pairs = itertools.zip_longest(client.queue, [job] * job.count)
        client.queue = deque(each for pair in pairs for each in pair if each is not None)
        self._pump(client, now)

    def _pump(self, client: _Client, now: float) -> None:
        while client.queue and client.in_flight < MAX_IN_FLIGHT:
            due = client.limiter.next_at(now, len(client.queue))
            if due is None:
                return
            if due > now + 1e-6:
                if due < client.wake_at - 1e-9:
                    client.wake_at = due
                    self._at(due, lambda now: self._wake(client, now))
                return
            self._send(client, client.queue.popleft(), now)

    def _wake(self, client: _Client, now: float) -> None:
        if client.wake_at <= now:
            client.wake_at = math.inf
        self._pump(client, now)

    def _send(self, client: _Client, job: Job, now: float) -> None:
        client.in_flight += 1
        client.limiter.sent(now)
        trip = self._latency(self._rng)
        there = trip * self._rng.uniform(0.35, 0.65)

        def arrive(when: float) -> None:
            ok = self._bucket.take(when)
            self._at(now + trip, lambda end: self._answer(client, job, now, ok, end))

        self._at(now + there, arrive)

    def _answer(self, client: _Client, job: Job, sent: float, ok: bool, now: float) -> None:
        client.in_flight -= 1
        if ok:
            job.done += 1
            job.ended = now if job.done == job.count else math.inf
        else:
            job.wasted += 1
            client.queue.appendleft(job)
        client.limiter.answered(now, ok, sent)
        self._pump(client, now)


@attrs.frozen
class Scenario:
    """A scenario, and the excess time and wasted calls that it allows."""

    calls: int
    burst: float
    rate: float
    latency: Latency = NEAR
    trip: float = 0.02
    """The round trip that the least time counts, in seconds."""
    level: float | None = None
    rates: tuple[tuple[float, float], ...] = ()
    stepped: bool = False
    clients: tuple[float, ...] = (0.0,)
    """When each begins."""
    again: tuple[float, ...] = ()
    """When the one client gets as many calls again."""
    time: float = 1.05
    wasted: float = 5.0

    def least(self, calls: int, phase: float | None = None) -> float:
        """Return the least time in which so many calls can be made, in seconds."""
        if phase is not None:
            return phase + math.ceil((calls - self.burst) / self.rate) - 1 + self.trip
        need = calls - (self.burst if self.level is None else self.level)
        now, rate = 0.0, self.rate
        for when, then in self.rates:
            if need > (when - now) * rate:
                need, now, rate = need - (when - now) * rate, when, then
        return now + max(0.0, need / rate) + self.trip

    def run(self, make: Callable[[], RateLimiter], seed: int) -> tuple[float, float, float]:
        """Return makespan ÷ least, wasted calls in percent, and how much longer the slowest client took, in percent."""
        rng = random.Random(seed * 7 + 1)
        phase = 0.2 + 0.8 * rng.random() if self.stepped else None
        level = self.burst if self.level is None else self.level
        simulation = Simulation(Bucket(self.burst, self.rate, level, phase, self.rates), self.latency, seed)
        shared = len(self.clients) > 1
        jobs = [[Job(begun + (rng.random() * 0.01 if shared else 0), self.calls)] for begun in self.clients]
        jobs[0] += [Job(begun, self.calls) for begun in self.again]
        for each in jobs:
            simulation.add(make(), *each)
        simulation.run()
        every = [job for each in jobs for job in each]
        took = [job.took for job in every]
        total = self.calls * len(every)
        if self.again and self.again[0] > 10:  # a pause in between: each batch has a full bucket
            ratio = max(took) / self.least(self.calls)
        else:
            ratio = max(job.ended for job in every) / self.least(total, phase)
        return ratio, 100 * sum(job.wasted for job in every) / total, 100 * (max(took) / min(took) - 1)


def wide(low: float, high: float) -> Latency:
    """Return a latency evenly distributed between the two, in seconds."""
    return lambda rng: rng.uniform(low, high)


FAR = {"latency": around(0.1), "trip": 0.1}
WIDE = {"latency": wide(0.005, 0.2), "trip": 0.1}
SLOW = {"latency": around(1.0), "trip": 1.0}
STEPPED = {"stepped": True, "time": 1.2, "wasted": 10.0}
SHARED = {"time": 1.05, "wasted": 7.0}
OUTAGE = ((4.0, 0.0), (14.0, 40.0))


def _scenario(calls: int, burst: float, rate: float, *more: Mapping[str, object], **options: object) -> Scenario:
    for each in more:
        options = {**each, **options}
    return Scenario(calls, burst, rate, **options)  # type: ignore[arg-type]


SCENARIOS: dict[str, Scenario] = {
    "200, B 100 R 40": _scenario(200, 100, 40),
    "200, B 50 R 20": _scenario(200, 50, 20),
    "1,000, B 100 R 40": _scenario(1000, 100, 40),
    "200, B 1 R 2": _scenario(200, 1, 2, time=1.10, wasted=12.0),
    "1,000, B 500 R 200, 100 ms": _scenario(1000, 500, 200, FAR),
    "500, B 100 R 40": _scenario(500, 100, 40),
    "1,500, B 50 R 100": _scenario(1500, 50, 100),
    "400, B 200 R 15": _scenario(400, 200, 15),
    "200, B 100 R 40, 5-200 ms": _scenario(200, 100, 40, WIDE),
    "1,000, B 100 R 40, 5-200 ms": _scenario(1000, 100, 40, WIDE),
    "200, B 50 R 20, 5-200 ms": _scenario(200, 50, 20, WIDE),
    "R 40, 10, 40": _scenario(1000, 100, 40, rates=((8.0, 10.0), (28.0, 40.0))),
    "half full": _scenario(200, 100, 40, level=50),
    "empty": _scenario(200, 50, 20, level=0),
    "again after 30 s": _scenario(200, 100, 40, again=(32.6,)),
    "three batches": _scenario(150, 50, 20, again=(1.0, 3.0)),
    "1,000 at 1 s": _scenario(1000, 100, 40, SLOW, wasted=10.0),
    "1,000, outage of 10 s": _scenario(1000, 100, 40, rates=OUTAGE, time=1.2, wasted=10.0),
    "500, outage of 10 s": _scenario(500, 100, 40, rates=OUTAGE, time=1.2, wasted=20.0),
    "stepped 200, B 100 R 40": _scenario(200, 100, 40, STEPPED),
    "stepped 200, B 50 R 20": _scenario(200, 50, 20, STEPPED),
    "stepped 1,000, B 100 R 40": _scenario(1000, 100, 40, STEPPED),
    "stepped 1,000, B 500 R 200": _scenario(1000, 500, 200, FAR, STEPPED),
    "two at once": _scenario(200, 50, 20, SHARED, clients=(0.0, 0.0)),
    "two, 2 s apart": _scenario(200, 50, 20, SHARED, clients=(0.0, 2.0)),
    "four at once": _scenario(200, 50, 20, SHARED, clients=(0.0,) * 4, wasted=14.0, time=1.1),
    "four, 2 s apart": _scenario(200, 50, 20, SHARED, clients=(0.0, 2.0, 4.0, 6.0), wasted=14.0, time=1.2),
    "stepped, two at once": _scenario(200, 50, 20, STEPPED, clients=(0.0, 0.0)),
    "stepped, two, 2 s apart": _scenario(200, 50, 20, STEPPED, clients=(0.0, 2.0)),
}
"""Those of the study, 1 s of latency, and outages. The bound for four clients is not promised, only monitored."""


def medians(scenario: Scenario, make: Callable[[], RateLimiter], seeds: Iterable[int]) -> tuple[float, float, float]:
    """Run a scenario once per seed and return the medians of its results."""
    ratios, wasted, apart = zip(*(scenario.run(make, seed) for seed in seeds), strict=True)
    return statistics.median(ratios), statistics.median(wasted), statistics.median(apart)


@attrs.define
class NoisyBucket(Bucket):
    """A bucket that throttles a part `noise` of the calls, whatever its level."""

    noise: float = 0.0
    rng: random.Random = attrs.Factory(lambda: random.Random(1))

    def take(self, now: float) -> bool:
        """Take a token, if there is one and no noise."""
        if self.noise and self.rng.random() < self.noise:
            return False
        return super().take(now)


class ContendedSimulation(Simulation):
    """Adds clients that are no learners."""

    def add_stranger(self, rate: float, until: float, *, retries: int = 0) -> None:
        """Add a constant stream of calls; a throttled one is sent again as aiobotocore's standard mode does."""

        def attempt(now: float, tries: int = 0) -> None:
            if not self._bucket.take(now) and tries < retries:
                backoff = self._rng.random() * min(2**tries, 20)
                self._at(now + 0.02 + backoff, lambda then: attempt(then, tries + 1))

        def tick(now: float) -> None:
            attempt(now)
            if now + 1 / rate < until:
                self._at(now + 1 / rate, tick)

        self._at(self._rng.random() / rate, tick)


@attrs.define
class Metered:
    """A rate learner that counts what was served and throttled within a span of time."""

    span: tuple[float, float]
    limiter: RateLimiter = attrs.Factory(RateLearner)
    served: int = 0
    throttled: int = 0

    @property
    def rate(self) -> float:
        """The learner's."""
        return self.limiter.rate

    @property
    def burst(self) -> float:
        """The learner's."""
        return self.limiter.burst

    def next_at(self, now: float, left: int | None = None, /) -> float | None:
        """Ask the learner."""
        return self.limiter.next_at(now, left)

    def sent(self, now: float, /) -> None:
        """Pass it on."""
        self.limiter.sent(now)

    def answered(self, now: float, ok: bool, at: float, /) -> None:
        """Count it, and pass it on."""
        if self.span[0] <= now < self.span[1]:
            self.served += ok
            self.throttled += not ok
        self.limiter.answered(now, ok, at)

    def unsent(self, now: float, at: float, /) -> None:
        """Pass it on."""
        self.limiter.unsent(now, at)


@attrs.frozen
class Contention:
    """A run of a few calls beside noise or strangers, and the time in which the median run must end.

    The bounds are 1.1 times the median of aiobotocore's standard mode with ten attempts, where that starts all.
    """

    calls: int
    within: float
    burst: float = 100.0
    rate: float = 40.0
    level: float = 0.0
    noise: float = 0.0
    stranger: float = 0.0
    retries: int = 0

    def run(self, seed: int, make: Callable[[], RateLimiter] = RateLearner) -> float:
        """Return how long the calls took, in seconds."""
        bucket = NoisyBucket(self.burst, self.rate, self.level, noise=self.noise, rng=random.Random(seed))
        simulation = ContendedSimulation(bucket, NEAR, seed)
        job = Job(0.0, self.calls)
        simulation.add(make(), job)
        if self.stranger:
            simulation.add_stranger(self.stranger, 300.0, retries=self.retries)
        simulation.run(300.0)
        return job.took

    def median(self, seeds: int, make: Callable[[], RateLimiter] = RateLearner) -> float:
        """Return the median over so many seeds."""
        return statistics.median(self.run(seed, make) for seed in range(seeds))


def _ample(within: float, noise: float) -> Contention:
    return Contention(60, within, 1e9, 1e6, 1e9, noise)


CONTENTIONS: dict[str, Contention] = {
    "60, noise 5 %, ample": _ample(0.9, 0.05),
    "60, noise 5 %, R 40": Contention(60, 4.7, noise=0.05),
    "60, noise 30 %, ample": _ample(5.2, 0.3),
    "60, noise 30 %, R 40": Contention(60, 10.2, noise=0.3),
    "60, noise 50 %, ample": _ample(22.6, 0.5),
    "60, noise 50 %, R 40": Contention(60, 44.0, noise=0.5),
    "60, stranger 20 of 40": Contention(60, 5.0, stranger=20.0),
    "60, stranger 20 of 40, retries": Contention(60, 6.3, stranger=20.0, retries=2),
    "60, stranger 38 of 40": Contention(60, 13.6, stranger=38.0),
    "60, stranger 38 of 40, retries": Contention(60, 30.0, stranger=38.0, retries=2),
    "60, stranger 44 of 40": Contention(60, 90.0, stranger=44.0),
    "60, stranger 44 of 40, retries": Contention(60, 90.0, stranger=44.0, retries=2),
}
"""Beside a stranger of 38 calls/s who retries, and one of 44, no rival starts all 60. The bounds there are the time at
the rate that is free, and the time that a call has."""


@attrs.frozen
class Shares:
    """How equal learners shared a bucket within a span of time."""

    total: float
    """Calls served, as a part of the refill."""
    wasted: float
    """Throttled calls, as a part of those served."""
    fairness: float
    """Jain's index: 1 for equal shares, 1/n if one of n has all."""


def share(learners: int, span: tuple[float, float], *, rate: float = 40.0, seed: int = 1) -> Shares:
    """Let so many learners begin together and return their shares within the span."""
    simulation = Simulation(Bucket(100.0, rate, 100.0), NEAR, seed)
    metered = [Metered(span) for _ in range(learners)]
    for number, each in enumerate(metered):
        calls = 100 + int(3 * span[1] * rate / learners)
        simulation.add(each, Job(0.01 * number / learners, calls))
    simulation.run(span[1])
    served = [each.served for each in metered]
    return Shares(
        total=sum(served) / (rate * (span[1] - span[0])),
        wasted=sum(each.throttled for each in metered) / sum(served),
        fairness=sum(served) ** 2 / (learners * sum(each * each for each in served)),
    )
