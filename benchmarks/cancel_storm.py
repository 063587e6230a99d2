"""Cancels 20,000 starts at chosen steps of the event loop around ECS's answer, and checks that every report stays true.

    python -m benchmarks.cancel_storm [--quick] [--seed N]

15,000 cancels are of the async client, in virtual time: start_task with and without a key, start_tasks, place_tasks,
run_task and a batch; by token, scope, enclosing scope, task.cancel() and timeout. 5,000 are of the blocking client, on
eight threads: by a token or a future from another thread, or by a scope. `on_cancel` is "stop" or "keep". Each comes in
one of 16 steps of the loop, from before the request is written until after its caller has the answer, first or last
among the callbacks of that step. A fifth are cancelled twice; some answers are lost, slow, or have a late effect.

At the very end the simulator says what is so: STARTED runs, STOPPED does not, nothing runs of NOT_SENT and REFUSED,
`on_settled` resolves each UNKNOWN, and no task runs that no report names. The exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from benchmarks.harness import table

OUTCOMES = ("started", "stopped", "not_sent", "refused", "unknown")


def main(*, short: bool, seed: int) -> int:
    """Run both storms, and print a line for each."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from cancel_storms.async_storm import async_storm
    from cancel_storms.sync_storm import sync_storm

    logging.getLogger("aioecs").setLevel(logging.CRITICAL)  # thousands of lines on starts that settle later
    rows: list[tuple[object, ...]] = []
    untrue: list[str] = []
    for client, storm, count in (("async", async_storm, 15_000), ("sync", sync_storm, 5_000)):
        began = time.perf_counter()
        judged = storm(count // 50 if short else count, seed)
        seconds = time.perf_counter() - began
        received = [f"{judged.received[outcome]:,}" for outcome in OUTCOMES]
        counts = (f"{judged.cases:,}", f"{judged.too_late:,}", *received, len(judged.untrue), f"{seconds:.0f}")
        rows.append((client, *counts))
        untrue += judged.untrue
    print(table(["client", "cancelled starts", "too late", *OUTCOMES, "untrue", "seconds"], rows))
    print(*untrue[:20], sep="\n")
    return int(bool(untrue))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", dest="short", action="store_true", help="400 cancels")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    raise SystemExit(main(short=given.short, seed=given.seed))
