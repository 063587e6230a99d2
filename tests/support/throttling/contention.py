"""Rate limiters beside random throttles, beside strangers who take a share of the bucket, and in crowds of learners."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import attrs

from aioecs._logic.sending.rate_learner import RateLearner
from aioecs._logic.sending.rate_limiter import RateLimiter
from throttling.simulation import NEAR, Bucket, Job, Simulation

LONGEST = 300.0  # a run is ended after so many seconds


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
            if not self.bucket.take(now) and tries < retries:
                backoff = self.rng.random() * min(2**tries, 20)
                self.at(now + 0.02 + backoff, lambda then: attempt(then, tries + 1))

        def tick(now: float) -> None:
            attempt(now)
            if now + 1 / rate < until:
                self.at(now + 1 / rate, tick)

        self.at(self.rng.random() / rate, tick)


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
    """A run of some calls beside noise or strangers, and the time in which the median run must end.

    The bounds are 1.1 times the median of the fastest of aiobotocore's standard and adaptive modes with ten attempts
    and boto3's legacy mode with five, of those that start all in each of 15 runs; see `retrying_clients`. In the last
    rows it is the fastest of all, even if it gave starts up.
    """

    calls: int
    within: float
    burst: float = 100.0
    rate: float = 40.0
    level: float = 0.0
    noise: float = 0.0
    stranger: float = 0.0
    retries: int = 0
    rates: tuple[tuple[float, float], ...] = ()
    stepped: bool = False
    quick: bool = False
    """Throttles are answered at once, and served calls after the latency."""

    def world(self, seed: int) -> ContendedSimulation:
        """Return a simulation of this bucket with its strangers."""
        phase = 0.2 + 0.8 * random.Random(seed * 7 + 1).random() if self.stepped else None
        rng = random.Random(seed)
        bucket = NoisyBucket(self.burst, self.rate, self.level, phase, self.rates, noise=self.noise, rng=rng)
        simulation = ContendedSimulation(bucket, NEAR, seed, quick=self.quick)
        if self.stranger:
            simulation.add_stranger(self.stranger, LONGEST, retries=self.retries)
        return simulation

    def run(self, seed: int, make: Callable[[], RateLimiter] = RateLearner) -> float:
        """Return how long the calls took, in seconds."""
        simulation = self.world(seed)
        job = Job(0.0, self.calls)
        simulation.add(make(), job)
        simulation.run(LONGEST, lambda: job.done == job.count)
        return job.took

    def median(self, seeds: int, make: Callable[[], RateLimiter] = RateLearner) -> float:
        """Return the median over so many seeds."""
        return statistics.median(self.run(seed, make) for seed in range(seeds))


def _ample(within: float, noise: float, calls: int = 60, *, quick: bool = False) -> Contention:
    return Contention(calls, within, 1e9, 1e6, 1e9, noise, quick=quick)


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
    "60, noise 5 %, ample, quick": _ample(0.9, 0.05, quick=True),
    "60, noise 30 %, ample, quick": _ample(5.0, 0.3, quick=True),
    "60, noise 50 %, ample, quick": _ample(12.0, 0.5, quick=True),
    "60, noise 30 %, R 40, quick": Contention(60, 10.0, noise=0.3, quick=True),
    "60, noise 50 %, R 40, quick": Contention(60, 13.1, noise=0.5, quick=True),
    "60, B 5, stranger 38 of 40": Contention(60, 12.0, 5.0, 40.0, 5.0, stranger=38.0),
    "60, B 5, stranger 44 of 40": Contention(60, 90.0, 5.0, 40.0, 5.0, stranger=44.0),
}
"""Beside a stranger of 38 calls/s who retries, and one of 44, no rival starts all 60. The bounds there are the time at
the rate that is free, and the time that a call has. The last rows are like those of `benchmarks.throttles`: random
throttles are answered at once."""

LONG_RUNS: dict[str, Contention] = {
    "1,000, noise 30 %, ample": _ample(10.0, 0.3, 1000),
    "1,000, noise 50 %, ample": _ample(15.0, 0.5, 1000),
    "1,000, noise 30 %, ample, quick": _ample(10.0, 0.3, 1000, quick=True),
    "2,000, noise 30 %, B 100 R 40": Contention(2000, 50.0, level=100.0, noise=0.3),
    "5,000, noise 5 %, B 100 R 40": Contention(5000, 129.0, level=100.0, noise=0.05),
}
"""The bounds with a refill are 1.05 times the least time; those of an ample bucket are what is held."""


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
