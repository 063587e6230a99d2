"""What all drivers do: start tasks in one of two storms, and say what came of each start, one line of JSON each.

A driver runs in the environment of the client that it drives, so this needs nothing but the standard library. The
first argument is the storm's settings as JSON; the endpoint, Region and keys are in the environment variables that
every AWS SDK reads.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

SETTINGS: dict[str, Any] = json.loads(sys.argv[1])
RUNS = SETTINGS["operation"] == "RunTask"
CANCELS = SETTINGS["storm"] == "cancelled"
STARTS: int = SETTINGS["starts"]
ENDPOINT = os.environ["AWS_ENDPOINT_URL_ECS"]
REGION = os.environ["AWS_REGION"]


class Cancelled(BaseException):
    """The person or process that waits for the start wants it no more."""


def request(number: int) -> dict[str, Any]:
    """Return a StartTask or RunTask as boto3 takes it; the number of the start is its group."""
    made: dict[str, Any] = {"taskDefinition": "demo", "group": str(number)}
    if not RUNS:
        made["containerInstances"] = [SETTINGS["instances"][number % len(SETTINGS["instances"])]]
    return made


def read(answer: dict[str, Any]) -> list[str]:
    """Return the ARNs in an answer; a refusal is a failure of the start.

    Raises:
        RuntimeError: it has no task.
    """
    if not answer.get("tasks"):
        raise RuntimeError(str(answer.get("failures")))
    return [task["taskArn"] for task in answer["tasks"]]


def say(number: int, outcome: str, arns: list[str] | None = None) -> None:
    """Report what the client said of a start: started, failed, unknown, stopped or cancelled, and the ARNs it named."""
    line = json.dumps({"number": number, "outcome": outcome, "arns": arns or []})
    os.write(1, f"\n{line}\n".encode())  # at once: a framework may log to the same stream from other threads


def try_start(start: Callable[[int], list[str]], number: int) -> tuple[str, list[str]]:
    """Start one, and return what came of it."""
    try:
        return "started", start(number)
    except Exception as error:
        print(f"{number}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
        return "failed", []


def run(
    start: Callable[[int], list[str]],
    on_kill: Callable[[], None] | None = None,
    prepare: Callable[[int], object] = int,
) -> None:
    """Run the storm through a blocking client.

    A cancel is a signal in the main thread, as Ctrl-C and a scheduler's SIGTERM are; `on_kill` is what the client's
    framework calls then. `prepare` is what comes before a start, and is not cancelled.
    """
    if not CANCELS:
        with ThreadPoolExecutor(SETTINGS["together"]) as pool:
            list(pool.map(lambda number: say(number, *try_start(start, number)), range(STARTS)))
        return
    prepare(STARTS)
    start(STARTS)
    prepare(STARTS)
    began = time.perf_counter()
    start(STARTS)
    longest = time.perf_counter() - began
    chance = random.Random(SETTINGS["seed"])
    signal.signal(signal.SIGALRM, lambda *_: _struck(on_kill))
    for number in range(STARTS):
        outcome, arns = "cancelled", list[str]()
        prepare(number)
        with suppress(Cancelled):
            signal.setitimer(signal.ITIMER_REAL, max(1e-4, chance.random() * longest))
            outcome, arns = try_start(start, number)
            signal.setitimer(signal.ITIMER_REAL, 0)
        say(number, outcome, arns)


def _struck(on_kill: Callable[[], None] | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    if on_kill is not None:
        on_kill()
    raise Cancelled


async def run_async(start: Callable[[int], Awaitable[list[str]]]) -> None:
    """Run the storm through a client on asyncio; a cancel is that of the task which waits."""
    chance, numbers, longest = random.Random(SETTINGS["seed"]), iter(range(STARTS)), 0.0
    if CANCELS:
        await start(STARTS)
        began = time.perf_counter()
        await start(STARTS)
        longest = time.perf_counter() - began

    async def work() -> None:
        for number in numbers:
            task = asyncio.ensure_future(start(number))
            if CANCELS:
                await asyncio.wait([task], timeout=chance.random() * longest)
                task.cancel()
            await asyncio.wait([task])
            report(number, task)

    await asyncio.gather(*(work() for _ in range(1 if CANCELS else SETTINGS["together"])))


def report(number: int, task: asyncio.Future[list[str]]) -> None:
    """Report what came of a task that started one."""
    if task.cancelled():
        say(number, "cancelled")
    elif task.exception() is not None:
        print(f"{number}: {task.exception()!r}"[:300], file=sys.stderr)
        say(number, "failed")
    else:
        say(number, "started", task.result())
