"""Rate limiters on token buckets, in virtual time: alone, beside throttles of another cause, and in crowds.

    python -m benchmarks.pacing [--quick]

It prints three tables; each figure is the median over 30 seeds, 5 with `--quick`, of crowds over 3 and 1.

1. Time over the minimum, and wasted calls. Each line is a scenario; each cell has makespan ÷ minimum, wasted calls in
   percent, and for several clients by how much longer the slowest took than the fastest. The other limiters: known
   burst and refill (alone on a full bucket, with a small margin), additive increase and multiplicative decrease, and a
   fixed window of 50 calls, where a throttled call keeps its place and backs off twice as long for each throttle in a
   row.
2. Seconds beside random throttles and other users, for aioecs and for clients that retry as botocore does: 50 calls at
   once, with the attempts in brackets. Where a client gave starts up, the fewest that it started in any run follow.
3. Shares of equal learners on the published bucket, in the second and third minute after they began together.
"""

from __future__ import annotations

import argparse
import heapq
import math
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from aioecs._logic.sending.rate_learner import RateLearner
from aioecs._logic.sending.rate_limiter import FixedRate, RateLimiter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from throttling.contention import CONTENTIONS, LONG_RUNS, LONGEST, Contention, share
from throttling.retrying_clients import Mode, RetryingClient
from throttling.simulation import SCENARIOS, Scenario, medians

RIVALS: dict[str, tuple[Mode, int]] = {
    "standard (10)": ("standard", 10),
    "adaptive (10)": ("adaptive", 10),
    "legacy (5), boto3's default": ("legacy", 5),
}
CROWDS = (2, 3, 8, 16, 64)
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


def beside(job: tuple[str, int]) -> str:
    """Run aioecs and its rivals beside throttles of another cause."""
    name, seeds = job
    contention = CONTENTIONS[name]
    seconds = contention.median(seeds)
    missed = " (missed)" if seconds > contention.within else ""
    others = (rival(contention, *kind, seeds=seeds) for kind in RIVALS.values())
    return f"{seconds:.2f}{missed} | {' | '.join(others)} | {contention.within:g}"


def rival(contention: Contention, mode: Mode, attempts: int, *, seeds: int) -> str:
    """Return the median seconds of a client that retries as botocore does."""
    runs = list[RetryingClient]()
    for seed in range(seeds):
        simulation, client = contention.world(seed), RetryingClient(mode, contention.calls, attempts)
        client.join(simulation)
        simulation.run(LONGEST, lambda client=client: client.took < math.inf)  # type: ignore[misc]
        runs.append(client)
    fewest = min(client.served for client in runs)
    gave_up = f" (started {fewest})" if fewest < contention.calls else ""
    return f"{statistics.median(client.took for client in runs):.2f}{gave_up}"


def long_run(job: tuple[str, int]) -> str:
    """Run aioecs for long beside random throttles."""
    name, seeds = job
    return f"{LONG_RUNS[name].median(seeds):.1f} | {LONG_RUNS[name].within:g}"


def crowd(job: tuple[int, int]) -> str:
    """Let so many learners share a bucket."""
    learners, seeds = job
    cells = list[str]()
    for span in ((60.0, 120.0), (120.0, 180.0)):
        shares = [share(learners, span, seed=seed) for seed in range(seeds)]
        total, wasted, fairness = (
            statistics.median(values) for values in zip(*(attrs.astuple(each) for each in shares), strict=True)
        )
        cells.append(f"{100 * total:.0f} % · {100 * wasted:.1f} % · {fairness:.2f}")
    return " | ".join(cells)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 seeds instead of 30")
    quick = parser.parse_args().quick
    seeds, crowd_seeds = (5, 1) if quick else (30, 3)
    with multiprocessing.Pool() as pool:
        print(f"Medians over {seeds} seeds: makespan ÷ minimum · wasted · slowest client over fastest\n")
        print(f"| scenario | {' | '.join(LIMITERS)} | required |\n|---{'|---' * len(LIMITERS)}|---|")
        cells = pool.imap(cell, [(name, limiter, seeds) for name in SCENARIOS for limiter in LIMITERS])
        for name, scenario in SCENARIOS.items():
            row = " | ".join(next(cells) for _ in LIMITERS)
            print(f"| {name} | {row} | {scenario.time:g} · {scenario.wasted:g} % |", flush=True)
        print(f"\nSeconds beside throttles of another cause, medians over {seeds} seeds\n")
        print(f"| throttles | aioecs | {' | '.join(RIVALS)} | required |\n|---|---{'|---' * len(RIVALS)}|---|")
        print_rows(CONTENTIONS, pool.imap(beside, [(name, seeds) for name in CONTENTIONS]))
        print("\n| many calls | aioecs | required |\n|---|---|---|")
        print_rows(LONG_RUNS, pool.imap(long_run, [(name, seeds) for name in LONG_RUNS]))
        print(f"\nCrowds, medians over {crowd_seeds} seeds: part of the refill · wasted · Jain's index\n")
        print("| learners | second minute | third minute |\n|---|---|---|")
        print_rows(CROWDS, pool.imap(crowd, [(learners, crowd_seeds) for learners in CROWDS]))


def print_rows(names: Iterable[object], rows: Iterable[str]) -> None:
    """Print each row as soon as it is known."""
    for name, row in zip(names, rows, strict=True):
        print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
