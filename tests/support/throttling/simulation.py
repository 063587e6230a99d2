"""A simulation of token buckets, clients and latencies in virtual time, and the scenarios for rate limiters.

`contention` adds random throttles, strangers who take a share of the bucket, and crowds of equal learners.
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

from aioecs._logic.sending.rate_limiter import RateLimiter

Latency = Callable[[random.Random], float]

MAX_IN_FLIGHT = 512  # calls in flight of one client, at most
SEND_TIME = 0.0002  # between two calls that are sent at once, in seconds, where throttles are answered quickly
QUICK = (0.02, 0.1)  # the part of the latency until a call reaches the bucket, where throttles are answered quickly


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
    """Runs clients against a bucket, event by event.

    With `quick`, the latency is the time that the service needs to serve a call: a throttled one is answered at once.
    """

    def __init__(self, bucket: Bucket, latency: Latency, seed: int, *, quick: bool = False) -> None:
        self.bucket, self.latency, self.quick = bucket, latency, quick
        self.rng = random.Random(seed)
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []

    def add(self, limiter: RateLimiter, *jobs: Job) -> None:
        """Add a client with these jobs."""
        client = _Client(limiter)
        for job in jobs:
            self.at(job.begun, lambda now, job=job: self._begin(client, job, now))  # type: ignore[misc]

    def run(self, until: float = 5_000, done: Callable[[], bool] = lambda: False) -> None:
        """Run until there are no more events, until this time, or until it is done."""
        while self._events and not done():
            now, _, callback = heapq.heappop(self._events)
            if now > until:
                return
            callback(now)

    def at(self, when: float, callback: Callable[[float], None]) -> None:
        """Call it at this time, with the time."""
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
                    self.at(due, lambda now: self._wake(client, now))
                return
            self._send(client, client.queue.popleft(), now)
            if self.quick:
                self.at(now + SEND_TIME, lambda then: self._pump(client, then))
                return

    def _wake(self, client: _Client, now: float) -> None:
        if client.wake_at <= now:
            client.wake_at = math.inf
        self._pump(client, now)

    def _send(self, client: _Client, job: Job, now: float) -> None:
        client.in_flight += 1
        client.limiter.sent(now)
        self.request(now, lambda ok, end: self._answer(client, job, now, ok, end))

    def request(self, now: float, answer: Callable[[bool, float], None]) -> None:
        """Send a request to the bucket; `answer` is called with whether it was served, and the time."""
        trip = self.latency(self.rng)
        there = trip * (self.rng.uniform(*QUICK) if self.quick else self.rng.uniform(0.35, 0.65))

        def arrive(when: float) -> None:
            ok = self.bucket.take(when)
            took = 2 * there if self.quick and not ok else trip
            self.at(now + took, lambda end: answer(ok, end))

        self.at(now + there, arrive)

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
