"""How near to the least time, and at what waste: the pacer and its rivals on token buckets, in virtual time.

    python -m benchmarks.pacing [--quick]

Each line is a scenario; each cell says makespan ÷ least, wasted calls in percent, and for several clients by how much
longer the slowest took than the fastest: medians over 30 seeds, 5 with `--quick`. The rivals: burst and refill known
(alone on a full bucket, with no margin but a little), additive increase and multiplicative decrease, and a fixed
window of 50 calls, where a throttled one rests in its place, twice as long for each throttle in a row.
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

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pacing_world import SCENARIOS, Scenario, medians

RIVALS = ("aioecs", "known B, R", "AIMD", "window 50")


@attrs.define
class Aimd:
    """A rate that rises by so much a second and is cut by a part at a throttle, at most once per guard time."""

    rate: float = 50.0
    burst: float = 1.0
    rise: float = 5.0
    cut: float = 0.7
    guard: float = 0.2
    _due: float = 0.0
    _now: float = 0.0
    _cut_at: float = -math.inf

    def next_at(self, now: float, _left: int | None = None, /) -> float | None:
        """One step after the last."""
        self.rate += self.rise * (now - self._now)
        self._now = now
        return max(now, self._due)

    def sent(self, now: float, /) -> None:
        """Step on, catching up a little."""
        self._due = max(self._due, now - 0.05) + 1 / self.rate

    def answered(self, now: float, ok: bool, _at: float, /) -> None:
        """Cut at a throttle."""
        if not ok and now - self._cut_at > self.guard:
            self.rate, self._cut_at = max(0.5, self.rate * self.cut), now
            self._due = max(self._due, now + 1 / self.rate)

    def unsent(self, _now: float, _at: float, /) -> None:
        """Never happens here."""


@attrs.define
class Window:
    """So many calls at once; a throttled one keeps its place for a rest, longer for each throttle in a row."""

    size: int = 50
    rate: float = math.nan
    burst: float = math.nan
    _flying: int = 0
    _row: int = 0
    _resting: list[float] = attrs.Factory(list[float])

    def next_at(self, now: float, _left: int | None = None, /) -> float | None:
        """When there is a place."""
        while self._resting and self._resting[0] <= now:
            heapq.heappop(self._resting)
        if self._flying + len(self._resting) < self.size:
            return now
        return self._resting[0] if self._resting else None

    def sent(self, _now: float, /) -> None:
        """Take a place."""
        self._flying += 1

    def answered(self, now: float, ok: bool, _at: float, /) -> None:
        """Give the place back, or rest in it."""
        self._flying -= 1
        self._row = 0 if ok else self._row + 1
        if not ok:
            heapq.heappush(self._resting, now + min(5.0, 0.05 * 2.0 ** min(self._row, 7)))

    def unsent(self, _now: float, _at: float, /) -> None:
        """Never happens here."""


def maker(name: str, scenario: Scenario) -> Callable[[], RateLimiter]:
    """Return what makes this rival."""
    kinds: dict[str, Callable[[], RateLimiter]] = {
        "aioecs": RateLearner,
        "known B, R": lambda: FixedRate(scenario.burst, scenario.rate),
        "AIMD": Aimd,
        "window 50": Window,
    }
    return kinds[name]


def cell(job: tuple[str, str, int]) -> str:
    """Run one rival through one scenario."""
    name, rival, seeds = job
    scenario = SCENARIOS[name]
    ratio, wasted, apart = medians(scenario, maker(rival, scenario), range(1000, 1000 + seeds))
    more = f" · {apart:.0f} %" if len(scenario.clients) > 1 else ""
    missed = rival == "aioecs" and (ratio > scenario.time or wasted > scenario.wasted)
    return f"{ratio:.3f} · {wasted:.1f} %{more}" + (" (missed)" if missed else "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 seeds instead of 30")
    seeds = 5 if parser.parse_args().quick else 30
    print(f"Medians over {seeds} seeds: makespan ÷ least · wasted · slowest client over fastest\n")
    print(f"| scenario | {' | '.join(RIVALS)} | asked |\n|---{'|---' * len(RIVALS)}|---|")
    jobs = [(name, rival, seeds) for name in SCENARIOS for rival in RIVALS]
    with multiprocessing.Pool() as pool:
        cells = pool.imap(cell, jobs)
        for name, scenario in SCENARIOS.items():
            row = " | ".join(next(cells) for _ in RIVALS)
            print(f"| {name} | {row} | {scenario.time:g} · {scenario.wasted:g} % |", flush=True)


if __name__ == "__main__":
    main()
