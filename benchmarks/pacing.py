"""Time over the minimum, and wasted calls: rate limiters on token buckets, in virtual time.

    python -m benchmarks.pacing [--quick]

Each line is a scenario; each cell has makespan ÷ minimum, wasted calls in percent, and for several clients by how much
longer the slowest took than the fastest: medians over 30 seeds, 5 with `--quick`. The other limiters: known burst and
refill (alone on a full bucket, with a small margin), additive increase and multiplicative decrease, and a fixed window
of 50 calls, where a throttled call keeps its place and backs off twice as long for each throttle in a row.
"""

from __future__ import annotations

import argparse
import heapq
import math
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import attrs

from aioecs._logic.sending.rate_learner import RateLearner
from aioecs._logic.sending.rate_limiter import FixedRate, RateLimiter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from throttling.simulation import SCENARIOS, Scenario, medians

LIMITERS = ("aioecs", "known B, R", "AIMD", "window 50")


@attrs.define
class Aimd:
    """A rate that rises linearly, and is multiplied by `cut` at a throttle, at most once per `guard` seconds."""

    rate: float = 50.0
    burst: float = 1.0
    rise: float = 5.0
    cut: float = 0.7
    guard: float = 0.2
    _due: float = 0.0
    _now: float = 0.0
    _cut_at: float = -math.inf

    def next_at(self, now: float, _left: int | None = None, /) -> float | None:
        """Return one interval after the last call."""
        self.rate += self.rise * (now - self._now)
        self._now = now
        return max(now, self._due)

    def sent(self, now: float, /) -> None:
        """Advance by one interval; a delay of up to 0.05 s is caught up."""
        self._due = max(self._due, now - 0.05) + 1 / self.rate

    def answered(self, now: float, ok: bool, _at: float, /) -> None:
        """Reduce the rate at a throttle."""
        if not ok and now - self._cut_at > self.guard:
            self.rate, self._cut_at = max(0.5, self.rate * self.cut), now
            self._due = max(self._due, now + 1 / self.rate)

    def unsent(self, _now: float, _at: float, /) -> None:
        """Do nothing: the simulation never calls this."""


@attrs.define
class Window:
    """A fixed number of calls in flight; a throttled one keeps its place and backs off, longer for each in a row."""

    size: int = 50
    rate: float = math.nan
    burst: float = math.nan
    _in_flight: int = 0
    _throttles: int = 0
    _backoffs: list[float] = attrs.Factory(list[float])

    def next_at(self, now: float, _left: int | None = None, /) -> float | None:
        """Return when a place is free."""
        while self._backoffs and self._backoffs[0] <= now:
            heapq.heappop(self._backoffs)
        if self._in_flight + len(self._backoffs) < self.size:
            return now
        return self._backoffs[0] if self._backoffs else None

    def sent(self, _now: float, /) -> None:
        """Take a place."""
        self._in_flight += 1

    def answered(self, now: float, ok: bool, _at: float, /) -> None:
        """Free the place, or back off in it."""
        self._in_flight -= 1
        self._throttles = 0 if ok else self._throttles + 1
        if not ok:
            heapq.heappush(self._backoffs, now + min(5.0, 0.05 * 2.0 ** min(self._throttles, 7)))

    def unsent(self, _now: float, _at: float, /) -> None:
        """Do nothing: the simulation never calls this."""


def maker(name: str, scenario: Scenario) -> Callable[[], RateLimiter]:
    """Return a factory of this limiter."""
    kinds: dict[str, Callable[[], RateLimiter]] = {
        "aioecs": RateLearner,
        "known B, R": lambda: FixedRate(scenario.burst, scenario.rate),
        "AIMD": Aimd,
        "window 50": Window,
    }
    return kinds[name]


def cell(job: tuple[str, str, int]) -> str:
    """Run one limiter in one scenario."""
    name, limiter, seeds = job
    scenario = SCENARIOS[name]
    ratio, wasted, apart = medians(scenario, maker(limiter, scenario), range(1000, 1000 + seeds))
    more = f" · {apart:.0f} %" if len(scenario.clients) > 1 else ""
    missed = limiter == "aioecs" and (ratio > scenario.time or wasted > scenario.wasted)
    return f"{ratio:.3f} · {wasted:.1f} %{more}" + (" (missed)" if missed else "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 seeds instead of 30")
    seeds = 5 if parser.parse_args().quick else 30
    print(f"Medians over {seeds} seeds: makespan ÷ minimum · wasted · slowest client over fastest\n")
    print(f"| scenario | {' | '.join(LIMITERS)} | required |\n|---{'|---' * len(LIMITERS)}|---|")
    jobs = [(name, limiter, seeds) for name in SCENARIOS for limiter in LIMITERS]
    with multiprocessing.Pool() as pool:
        cells = pool.imap(cell, jobs)
        for name, scenario in SCENARIOS.items():
            row = " | ".join(next(cells) for _ in LIMITERS)
            print(f"| {name} | {row} | {scenario.time:g} · {scenario.wasted:g} % |", flush=True)


if __name__ == "__main__":
    main()
