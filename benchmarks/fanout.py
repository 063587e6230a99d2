"""What batching costs: CPU and memory of a start in a stream, and the time to cancel what is queued.

    python -m benchmarks.fanout [--quick]

The transport is in memory and answers at once, with the same tasks for all calls. So it measures all that aioecs does
for a start in `start_tasks`, on one loop, but for encoding, sending, decoding and rate limiting. The cost of batching
itself is that less the cost of the same calls made without a batch, which ten starts share. Making requests and
checking them against the documented limits are measured separately: requests without overrides, with overrides that
all share, and with an environment made for each. Medians of interleaved rounds, CPU time of the process; peak memory is
tracemalloc's, of the Python objects of a stream whose results nobody keeps.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import pstats
import statistics
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

import aioecs
from aioecs import RunTaskRequest, StartTaskRequest
from aioecs._batch.batch import Batch
from aioecs._batch.batch_session import BatchSession
from aioecs._batch.placement.placement_context import PlacementContexts
from aioecs._calls.call_preparation import Preparer
from aioecs._logic.sending.packing import Group
from aioecs._model.attempt import Answered, Attempt
from aioecs._model.options import OnCancel
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import ConcurrencyLimit
from aioecs._transport.transport import SentMarker
from benchmarks.harness import Figures, bound, keep_to_one_core, report, spread, table

HOSTS = tuple(f"arn:aws:ecs:us-east-1:123456789012:container-instance/default/i{n:04}" for n in range(50))
ANSWERS = {
    host: aioecs.Task(
        task_arn=f"arn:aws:ecs:us-east-1:123456789012:task/default/{host[-5:]}",
        container_instance_arn=host,
        task_definition_arn="arn:aws:ecs:us-east-1:123456789012:task-definition/demo:1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        desired_status="RUNNING",
    )
    for host in HOSTS
}
BOUND_CPU, BOUND_MEMORY, BOUND_CANCEL = 5.0, 40.0, 10.0  # µs a start, MB, ms: issue 4


class Transport:
    """Answers at once, or never."""

    endpoint_url = "http://memory"
    region = "us-east-1"
    partition = "aws"

    def __init__(self, *, answers: bool = True) -> None:
        self._answers = answers

    async def attempt(self, _operation: Any, request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        """Start them all."""
        sent_marker.body_started = True
        if not self._answers:
            await asyncio.get_running_loop().create_future()
        tasks = [ANSWERS[host] for host in request.container_instances]
        return Answered(aioecs.StartTaskResponse(tasks=tasks), "request-1")


class Unchecked(Preparer):
    """Makes calls of requests that are not checked: the check is measured separately."""

    def check(self, request: StartTaskRequest | RunTaskRequest, *, any_number: bool = False) -> None:
        """Accept it."""


def make_session(core: Core, *, checks: bool = False, on_cancel: OnCancel = "keep") -> BatchSession:
    """Make the session of a batch, as `Client.batch` does; its requests are checked only if `checks`."""
    preparer = (Preparer if checks else Unchecked)(core, None, rate_limited=False, tag_tokens=False)
    return BatchSession(
        core,
        preparer,
        PlacementContexts(preparer),
        idempotency_key=None,
        on_cancel=on_cancel,
        delivery="at_most_once",
        window=0.002,
        drain=None,
    )


def make_core(transport: Transport) -> Core:
    """Make the core of a client: fifty requests in flight, no rate limiter."""
    return Core(
        transport=transport,
        concurrency=ConcurrencyLimit(50),
        timeouts=aioecs.Timeouts(),
        retries=aioecs.Retries(),
        loop=asyncio.get_running_loop(),
    )


REQUESTS = [StartTaskRequest(task_definition="demo", container_instances=[host]) for host in HOSTS]
SHARED = aioecs.TaskOverride.for_container("main", environment={"FRAME": "17"})
Made = Callable[[int], StartTaskRequest]


def reused(number: int) -> StartTaskRequest:
    """Return one of fifty requests that were made before."""
    return REQUESTS[number % 50]


def made(number: int) -> StartTaskRequest:
    """Make a request."""
    return StartTaskRequest(task_definition="demo", container_instances=[HOSTS[number % 50]])


def sharing(number: int) -> StartTaskRequest:
    """Make a request with the overrides that all share."""
    return made(number).replace(overrides=SHARED)


def afresh(number: int) -> StartTaskRequest:
    """Make a request with overrides made for it, equal to those of the others."""
    overrides = aioecs.TaskOverride.for_container("main", environment={"FRAME": "17"})
    return StartTaskRequest(task_definition="demo", container_instances=[HOSTS[number % 50]], overrides=overrides)


async def streamed(count: int, make: Made = reused, *, checks: bool = False) -> float:
    """Stream so many starts and keep none of them; return the CPU seconds."""
    async with Batch(make_session(make_core(Transport()), checks=checks)) as batch:
        seen = 0
        began = time.process_time()
        async for start in batch.start_tasks(map(make, range(count))):
            seen += start.task is not None
        spent = time.process_time() - began
    assert seen == count
    return spent


async def called(count: int) -> float:
    """Make so many calls of ten without a batch, fifty at once; return the CPU seconds."""
    core = make_core(Transport())
    request = StartTaskRequest(task_definition="demo", container_instances=HOSTS[:10])
    session = make_session(core)
    numbers = iter(range(count))

    async def work() -> None:
        for _ in numbers:
            call = session.prepare(request, Group(request, "at_most_once"))
            call.begin(await core.start_limiter.acquire())
            await call.end_waiter()
            call.record.starts()

    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(work())
    return time.process_time() - began


def peak(count: int) -> float:
    """Return the peak of Python's memory while so many starts are streamed, in MB (tracemalloc)."""
    gc.collect()
    tracemalloc.start()
    asyncio.run(streamed(count, made))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


@attrs.frozen
class Cancelled:
    """How long a cancel takes, in milliseconds."""

    withdrawn: float
    """From the cancel until the queue is empty."""
    held: float
    """The longest time that one step held the loop, until the caller had its error."""
    raised: float
    """Until the caller has the StartCancelled with all starts."""


async def cancelled(given: list[StartTaskRequest]) -> Cancelled:
    """Request all of it, while no call is answered, and cancel it by a token."""
    core = make_core(Transport(answers=False))
    token = aioecs.CancelToken()
    async with make_session(core, on_cancel="abandon") as batch:  # what is in flight is not what is measured
        task = asyncio.ensure_future(batch.report(given, token))
        await asyncio.sleep(0.1)
        assert batch.statistics().in_flight == 50
        assert batch.statistics().queued >= 400  # as many as a stream draws ahead; the others are not drawn yet
        gc.collect()
        held: list[float] = []
        began = last = time.perf_counter()
        token.cancel()
        withdrawn = 0.0
        while not task.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            held.append(now - last)
            last = now
            if not withdrawn and not batch.statistics().queued:
                withdrawn = now - began
        raised = time.perf_counter() - began
        assert isinstance(task.exception(), aioecs.StartCancelled)
        core.closing = True
        core.background_tasks.cancel()
    return Cancelled(withdrawn * 1e3, max(held) * 1e3, raised * 1e3)


def profiled(count: int, top: int) -> list[list[str]]:
    """Return the time by function, in µs a start under the profiler, whose own cost is included."""
    profile = cProfile.Profile()
    profile.enable()
    asyncio.run(streamed(count))
    profile.disable()
    stats: Any = pstats.Stats(profile)
    rows = sorted(stats.stats.items(), key=lambda each: -each[1][2])[:top]
    lines = []
    for (path, _, name), (_, calls, own, *_) in rows:
        where = path.partition("/aioecs/")[2] or path.rpartition("/")[2]
        lines.append([f"`{where}:{name}`", f"{calls / count:.2f}", f"{own / count * 1e6:.2f}"])
    return lines


def cost(count: int, times: int) -> dict[str, list[float]]:
    """Measure the CPU of a start in µs, by ways that take turns."""
    ways: dict[str, Callable[[], float]] = {
        "streamed, in all": lambda: asyncio.run(streamed(count)),
        "its calls alone, without a batch": lambda: asyncio.run(called(count // 10)),
        "streamed, a request made for each": lambda: asyncio.run(streamed(count, made)),
        "streamed, checked": lambda: asyncio.run(streamed(count, checks=True)),
        "streamed, checked, shared overrides": lambda: asyncio.run(streamed(count, sharing, checks=True)),
        "streamed, checked, equal overrides made for each": lambda: asyncio.run(streamed(count, afresh, checks=True)),
    }
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            seen[name].append(way() / count * 1e6)
    whole, calls = seen["streamed, in all"], seen["its calls alone, without a batch"]
    return seen | {"batching itself": [a - b for a, b in zip(whole, calls, strict=True)]}


def cancels(times: int) -> list[Figures]:
    """Cancel ten thousand queued starts, requested in two ways; times in ms, of the round with the median `held`."""
    ways = {
        "10,000 requests": list(map(reused, range(10_500))),
        "10,000 in one": [StartTaskRequest(task_definition="demo", container_instances=[HOSTS[0]] * 10_500)],
    }
    found = []
    for name, given in ways.items():
        took = sorted((asyncio.run(cancelled(given)) for _ in range(times)), key=lambda each: each.held)
        found.append({"asked": name, "held": [each.held for each in took], **_others(took[len(took) // 2])})
    return found


def _others(took: Cancelled) -> Figures:
    return {"withdrawn": took.withdrawn, "raised": took.raised}


def figures(quick: bool) -> Figures:
    """Measure: `cost` in µs of CPU a start, `memory` in MB, `cancels` in ms, `profile` by function."""
    keep_to_one_core()
    count, times = (2_000, 1) if quick else (100_000, 3)
    costs = cost(count, times)
    memory = {f"{each:,}": peak(each) for each in (1_000, count)}
    cuts = cancels(times)
    grown = memory[f"{count:,}"] - memory["1,000"]
    return {
        "count": count,
        "cost": costs,
        "memory": memory,
        "cancels": cuts,
        "profile": profiled(count, 24),
        "bounds": [
            bound("batching, µs of CPU a start", statistics.median(costs["batching itself"]), most=BOUND_CPU),
            bound("memory of 100,000 starts above 1,000, MB", grown, most=BOUND_MEMORY),
            *(
                bound(f"cancel of {cut['asked']}, ms", statistics.median(cut["held"]), most=BOUND_CANCEL)
                for cut in cuts
            ),
        ],
    }


def text(found: Figures) -> str:
    """Return the figures as Markdown: medians, between the least and the most of the rounds."""
    count = f"{found['count']:,}"
    costs = ([name, spread(each, ".2f")] for name, each in found["cost"].items())
    memory = ([f"{starts} starts", f"{megabytes:.1f}"] for starts, megabytes in found["memory"].items())
    cuts = (
        [cut["asked"], f"{cut['withdrawn']:.1f}", spread(cut["held"], ".1f"), f"{cut['raised']:.1f}"]
        for cut in found["cancels"]
    )
    return "\n".join(
        [
            f"{count} starts from a generator, ten a call, answered at once\n",
            table([f"{count} starts", "µs CPU a start"], costs),
            table(["peak of a stream", "MB"], memory),
            table(["cancelled", "queue empty after, ms", "loop held, ms", "error raised after, ms"], cuts),
            table(["function", "calls a start", "own µs a start"], found["profile"]),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
