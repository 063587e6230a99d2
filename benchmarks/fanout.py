"""What the batching costs: CPU and memory of a start in a stream, and the time to cancel what is queued.

    python -m benchmarks.fanout [--quick]

The port is in memory and answers at once, with one and the same answer for all calls: what is measured is all that
aioecs does for a start in a fan-out but the wire, its own codec and the pacing, on one loop. The batching itself is
that less the same calls carried out without a batch, whose cost ten starts share. Making a request, and holding it
against the documented limits, is measured apart. Medians of interleaved rounds, CPU time of the process; peak memory is
tracemalloc's, of the Python objects of a stream whose starts nobody keeps.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import itertools
import pstats
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import attrs

import aioecs
from aioecs import RunTaskRequest, StartTaskRequest
from aioecs._batch.batch import Batch
from aioecs._batch.placement_context import Survey
from aioecs._calls.call_preparation import Preparer
from aioecs._logic.sending.packing import Group
from aioecs._model.attempt import Answered, Attempt
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import ConcurrencyLimit
from aioecs._transport.transport import SentMarker
from benchmarks.rig import Figures, bound, keep_to_one_core, report, spread, table

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
    """Makes calls of requests that are not held against the limits: that is measured by itself."""

    def check(self, request: StartTaskRequest | RunTaskRequest, *, any_number: bool = False) -> None:
        """Take it as it is."""


def a_batch(core: Core, *, checks: bool = False) -> Batch:
    """Make a batch on a core, as `Client.batch` does; unchecked, unless that is what is measured."""
    preparer = (Preparer if checks else Unchecked)(core, None, paced=False, tag_tokens=False)
    return Batch(
        core,
        preparer,
        Survey(preparer),
        key=None,
        on_cancel="keep",
        delivery="at_most_once",
        window=0.002,
        drain=None,
    )


def a_core(port: Transport) -> Core:
    """Make the inside of a client: fifty requests in flight, unpaced."""
    return Core(
        transport=port,
        concurrency=ConcurrencyLimit(50),
        timeouts=aioecs.Timeouts(),
        retries=aioecs.Retries(),
        loop=asyncio.get_running_loop(),
    )


REQUESTS = [StartTaskRequest(task_definition="demo", container_instances=[host]) for host in HOSTS]


def requests(count: int, *, new: bool = False) -> Iterator[StartTaskRequest]:
    """Give so many requests of one instance each; made new, or the same fifty in turn."""
    if new:
        for number in range(count):
            yield StartTaskRequest(task_definition="demo", container_instances=[HOSTS[number % 50]])
    else:
        yield from itertools.islice(itertools.cycle(REQUESTS), count)


async def streamed(count: int, *, new: bool = False, checks: bool = False) -> float:
    """Stream so many starts and keep none of them; return the CPU seconds."""
    async with a_batch(a_core(Transport()), checks=checks) as batch:
        seen = 0
        began = time.process_time()
        async for start in batch.start_tasks(requests(count, new=new)):
            seen += start.task is not None
        spent = time.process_time() - began
    assert seen == count
    return spent


async def called(count: int) -> float:
    """Carry out so many calls of ten without a batch, fifty at once; return the CPU seconds."""
    core = a_core(Transport())
    request = StartTaskRequest(task_definition="demo", container_instances=HOSTS[:10])
    batch = a_batch(core)
    numbers = iter(range(count))

    async def work() -> None:
        for _ in numbers:
            call = batch._engine._prepare(request, Group(request, "at_most_once"))  # noqa: SLF001 as a batch begins one
            call.begin(await core.start_limiter.turn())
            await call.end_or()
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
    asyncio.run(streamed(count, new=True))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


@attrs.frozen
class Cancelled:
    """How long a cancel of what is queued takes, in milliseconds."""

    withdrawn: float
    """From the cancel until nothing is queued any more."""
    held: float
    """The longest that the loop was held for anything, until the caller knew all."""
    told: float
    """Until the caller has the StartCancelled with all its starts."""


async def cancelled(given: list[StartTaskRequest]) -> Cancelled:
    """Ask for all of it, with all calls in flight held, and cancel it by a token."""
    core = a_core(Transport(answers=False))
    token = aioecs.CancelToken()
    async with a_batch(core) as batch:
        batch._on_cancel = "abandon"  # noqa: SLF001 what is in flight is not what is measured
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
        told = time.perf_counter() - began
        assert isinstance(task.exception(), aioecs.StartCancelled)
        core.closing = True
        core.background_tasks.cancel()
    return Cancelled(withdrawn * 1e3, max(held) * 1e3, told * 1e3)


def profiled(count: int, top: int) -> list[list[str]]:
    """Say where the time goes, by function, in µs a start under the profiler; its own cost is in that."""
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
    """Measure what a start costs, in µs of CPU: in turns, so that all meet the same machine."""
    ways: dict[str, Callable[[], float]] = {
        "streamed, all in all": lambda: asyncio.run(streamed(count)),
        "its calls alone, no batch": lambda: asyncio.run(called(count // 10)),
        "streamed, a request made for each": lambda: asyncio.run(streamed(count, new=True)),
        "streamed, held against the limits": lambda: asyncio.run(streamed(count, checks=True)),
    }
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            seen[name].append(way() / count * 1e6)
    whole, calls = seen["streamed, all in all"], seen["its calls alone, no batch"]
    return seen | {"so the batching itself": [a - b for a, b in zip(whole, calls, strict=True)]}


def cancels(times: int) -> list[Figures]:
    """Cancel ten thousand queued starts, asked for in two ways; times in ms, of the median by what held the loop."""
    ways = {
        "10,000 requests": list(requests(10_500)),
        "10,000 in one": [StartTaskRequest(task_definition="demo", container_instances=[HOSTS[0]] * 10_500)],
    }
    found = []
    for name, given in ways.items():
        took = sorted((asyncio.run(cancelled(given)) for _ in range(times)), key=lambda each: each.held)
        found.append({"asked": name, "held": [each.held for each in took], **_parts(took[len(took) // 2])})
    return found


def _parts(took: Cancelled) -> Figures:
    return {"withdrawn": took.withdrawn, "told": took.told}


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
            bound("batching, µs of CPU a start", statistics.median(costs["so the batching itself"]), most=BOUND_CPU),
            bound("memory of 100,000 starts above 1,000, MB", grown, most=BOUND_MEMORY),
            *(
                bound(f"cancel of {cut['asked']}, ms", statistics.median(cut["held"]), most=BOUND_CANCEL)
                for cut in cuts
            ),
        ],
    }


def text(found: Figures) -> str:
    """Say all of it: medians, between the least and the most of the rounds."""
    count = f"{found['count']:,}"
    costs = ([name, spread(each, ".2f")] for name, each in found["cost"].items())
    memory = ([f"{starts} starts", f"{megabytes:.1f}"] for starts, megabytes in found["memory"].items())
    cuts = (
        [cut["asked"], f"{cut['withdrawn']:.1f}", spread(cut["held"], ".1f"), f"{cut['told']:.1f}"]
        for cut in found["cancels"]
    )
    return "\n".join(
        [
            f"{count} starts from a generator, ten a call, answered at once\n",
            table([f"{count} starts", "µs CPU a start"], costs),
            table(["peak of a stream", "MB"], memory),
            table(["cancelled", "queue empty after, ms", "loop held, ms", "all told after, ms"], cuts),
            table(["function", "calls a start", "own µs a start"], found["profile"]),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
