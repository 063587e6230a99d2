"""Clients of the simulation that retry as botocore's retry modes do, with the decisions of botocore's own classes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import attrs
from botocore.retries.adaptive import RateClocker
from botocore.retries.bucket import TokenBucket
from botocore.retries.throttling import CubicCalculator

from throttling.simulation import Simulation

Mode = Literal["legacy", "standard", "adaptive"]

QUOTA, RETRY_COST = 500, 5  # of standard mode: what retries of a client may cost together
LONGEST_BACKOFF = 20.0  # in seconds
AT_ONCE = 50  # calls in flight, or in a backoff


@attrs.define(eq=False)
class _Clock:
    """The clock of botocore's classes."""

    now: float = 0.0

    def current_time(self) -> float:
        return self.now


class _AdaptiveRate:
    """The client-side rate limit of adaptive mode, which begins with the first throttle."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._began = simulation.rng.random()  # botocore counts calls by half seconds of its clock
        self._clock: Any = _Clock(self._began)
        self._clocker = RateClocker(self._clock)
        self._bucket: Any = TokenBucket(max_rate=1, clock=self._clock)
        self._cubic = CubicCalculator(starting_max_rate=0, start_time=self._began)
        self._enabled = False
        self._waiting: deque[Callable[[float], None]] = deque()

    def acquire(self, now: float, send: Callable[[float], None]) -> None:
        """Send when there is a token."""
        self._waiting.append(send)
        self._release(now)

    def answered(self, now: float, ok: bool) -> None:
        """Adjust the rate."""
        at = self._clock.now = self._began + now
        measured = self._clocker.record()
        if ok:
            rate = self._cubic.success_received(at)
        else:
            rate = self._cubic.error_received(min(measured, self._bucket.max_rate) if self._enabled else measured, at)
            self._enabled = True
        self._bucket.max_rate = min(rate, 2 * measured)
        self._release(now)

    def _release(self, now: float) -> None:
        self._clock.now = self._began + now
        self._bucket.max_rate = self._bucket.max_rate  # refills it
        while self._waiting and (not self._enabled or self._bucket.available_capacity >= 1):
            if self._enabled:
                self._bucket.acquire()
            self._waiting.popleft()(now)
        if self._waiting:
            missing = 1 - self._bucket.available_capacity
            self._simulation.at(now + missing / self._bucket.max_rate + 1e-6, self._release)


@attrs.define(eq=False)
class RetryingClient:
    """Makes `calls` calls, 50 at a time, each with so many attempts. `took` is when the last one ended."""

    mode: Mode
    calls: int
    attempts: int
    began: float = 0.0
    served: int = 0
    given_up: int = 0
    throttled: int = 0
    took: float = math.inf
    _quota: int = QUOTA
    _rate: _AdaptiveRate | None = None

    def join(self, simulation: Simulation) -> None:
        """Begin at once, or at `began`."""
        if self.mode == "adaptive":
            self._rate = _AdaptiveRate(simulation)
        waiting = [self.calls]

        def next_call(now: float) -> None:
            if waiting[0]:
                waiting[0] -= 1
                attempt(now, 1)

        def attempt(now: float, number: int) -> None:
            if self._rate:
                self._rate.acquire(now, lambda then: send(then, number))
            else:
                send(now, number)

        def send(now: float, number: int) -> None:
            simulation.request(now, lambda ok, end: answer(end, number, ok))

        def answer(now: float, number: int, ok: bool) -> None:
            if self._rate:
                self._rate.answered(now, ok)
            self.throttled += not ok
            if ok or not self._may_retry(number):
                self._end(now, ok, number)
                next_call(now)
                return
            longest = min(2.0 ** (number - 1), math.inf if self.mode == "legacy" else LONGEST_BACKOFF)
            simulation.at(now + simulation.rng.random() * longest, lambda then: attempt(then, number + 1))

        for _ in range(AT_ONCE):
            simulation.at(self.began, next_call)

    def _may_retry(self, number: int) -> bool:
        if number >= self.attempts:
            return False
        if self.mode == "legacy":
            return True
        if self._quota < RETRY_COST:
            return False
        self._quota -= RETRY_COST
        return True

    def _end(self, now: float, ok: bool, number: int) -> None:
        self.served += ok
        self.given_up += not ok
        if ok:
            self._quota = min(QUOTA, self._quota + (RETRY_COST if number > 1 else 1))
        if self.served + self.given_up == self.calls:
            self.took = now - self.began
