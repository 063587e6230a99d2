"""Visits every state of the models of the promise, within bounds.

    python -m benchmarks.promise_search [--quick]

The models drive the package's own state machine of a call, its ledger and its decisions about jobs; ECS, time, crashes
and cancels are the environment, which does whatever it may at every step. Without `--quick` it may take more than an
hour. The exit code is 1 if an invariant is broken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.harness import table

MOST = 3_000_000
"""States of one search; a search that is cut short is reported as such."""


def main(short: bool) -> int:
    """Search, and print a line for each search."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from promise import searches
    from promise.worker_state import WorkerBounds

    rows: list[tuple[object, ...]] = []
    states, seconds, broken = 0, 0.0, 0
    for bounds in searches.short_search() if short else searches.long_search():
        found = searches.searched(bounds, MOST)
        kind = "two workers" if isinstance(bounds, WorkerBounds) else "call"
        end = "all" if found.whole else "cut short"
        rows.append((kind, bounds, f"{found.states:,}", f"{found.steps:,}", found.depth, f"{found.seconds:.1f}", end))
        print(kind, bounds, found, sep=": ", file=sys.stderr, flush=True)
        states, seconds, broken = states + found.states, seconds + found.seconds, broken + (found.wrong is not None)
    print(table(["model", "bounds", "states", "steps", "depth", "seconds", "visited"], rows))
    print(f"{states:,} states in {seconds:.0f} s; {broken} searches found a broken invariant")
    return int(broken > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", dest="short", action="store_true", help="less than a minute")
    raise SystemExit(main(parser.parse_args().short))
