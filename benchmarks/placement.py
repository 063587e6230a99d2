"""The cost of placement: CPU and memory of a placed start in a stream, and of the planning alone.

    python -m benchmarks.placement [--quick]

Streams: each request has an environment of its own, so that no two share a call. The same requests are placed by
aioecs, or name their instances, in turn over the same 50 hosts. The transport is in memory and answers at once: what is
measured is everything that aioecs does, except the wire, the codec and the pacing. Medians of interleaved rounds, CPU
time of the process; peak memory is tracemalloc's, of a stream whose results are not kept.

Planning: starts of thirty sizes in random order, on hosts of three sizes, 22 starts for each host: at the end the hosts
are nearly full. No request is sent. The starts are planned one after another; the cost of the first tenth, of the most
expensive tenth and of all is shown.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import aioecs
from aioecs import Binpack, Random, Spread, StartTaskRequest
from aioecs._batch.batch import Batch
from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.placer import Placer
from aioecs._model.attempt import Answered, Attempt
from aioecs._model.placement import Placement
from aioecs._transport.transport import SentMarker
from aioecs.types import ContainerDefinition, ContainerInstance, Resource, TaskDefinition
from benchmarks import fanout
from benchmarks.fanout import HOSTS, make_core, make_session
from benchmarks.harness import Figures, bound, keep_to_one_core, report, spread, table

BOUND_MEMORY, BOUND_RATIO = 40.0, 1.25  # MB, times: issue 15
BOUND_PLANNING = 250.0  # µs a start: a tenth of what the bucket allows, 40 calls of ten starts a second
PLANNED_HOSTS = (100, 1_000, 10_000)
STARTS_PER_HOST = 22
PLACEMENTS: tuple[Placement, ...] = (Spread(), Spread("ecs.availability-zone"), Binpack(), Random())


# Streams -------------------------------------------------------------------------------------------------------------


class Transport(fanout.Transport):
    """Answers at once: every StartTask starts all its tasks, on 50 hosts that never fill."""

    async def attempt(self, operation: Any, request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        """Answer."""
        if operation.name == "StartTask":
            return await super().attempt(operation, request, sent_marker)
        sent_marker.body_started = True
        return Answered(getattr(self, operation.method)(request))

    def describe_task_definition(self, _: Any) -> aioecs.DescribeTaskDefinitionResponse:
        """Describe a definition of one small container."""
        container = ContainerDefinition(name="main", cpu=1, memory=1)
        return aioecs.DescribeTaskDefinitionResponse(task_definition=TaskDefinition(container_definitions=[container]))

    def list_container_instances(self, _: Any) -> aioecs.ListContainerInstancesResponse:
        """List all hosts."""
        return aioecs.ListContainerInstancesResponse(container_instance_arns=HOSTS)

    def describe_container_instances(self, request: Any) -> aioecs.DescribeContainerInstancesResponse:
        """Describe hosts, each with capacity for all starts."""
        capacity = [Resource(name=name, type="INTEGER", integer_value=10**7) for name in ("CPU", "MEMORY")]
        described = [
            ContainerInstance(
                container_instance_arn=arn, status="ACTIVE", agent_connected=True, remaining_resources=capacity
            )
            for arn in request.container_instances
        ]
        return aioecs.DescribeContainerInstancesResponse(container_instances=described)


def unlike(count: int, *, named: bool) -> Iterator[StartTaskRequest]:
    """Make requests of which each has an environment of its own."""
    for number in range(count):
        overrides = aioecs.TaskOverride.for_container("main", environment={"FRAME": str(number)})
        instances = [HOSTS[number % len(HOSTS)]] if named else []
        yield StartTaskRequest(task_definition="demo", container_instances=instances, overrides=overrides)


async def streamed(count: int, *, named: bool) -> float:
    """Stream this many unlike starts and keep none of them; return the CPU seconds."""
    async with Batch(make_session(make_core(Transport()), checks=True)) as batch:
        starts = batch.start_tasks if named else batch.place_tasks
        seen = 0
        began = time.process_time()
        async for start in starts(unlike(count, named=named)):
            seen += start.task is not None
        spent = time.process_time() - began
    assert seen == count
    return spent


def peak(count: int) -> float:
    """Return the peak of Python's memory while this many unlike starts are placed, in MB (tracemalloc)."""
    gc.collect()
    tracemalloc.start()
    asyncio.run(streamed(count, named=False))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def cost(count: int, times: int) -> dict[str, list[float]]:
    """Measure the CPU of an unlike start in µs; the variants alternate, so that load on the machine affects both."""
    variants: dict[str, Callable[[], float]] = {
        "start_tasks, instances named": lambda: asyncio.run(streamed(count, named=True)),
        "place_tasks": lambda: asyncio.run(streamed(count, named=False)),
    }
    seen: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(times):
        for name, variant in variants.items():
            seen[name].append(variant() / count * 1e6)
    return seen


# Planning ------------------------------------------------------------------------------------------------------------


def hosts(count: int) -> list[Host]:
    """Make hosts of three sizes in three zones."""
    sizes = ((4096, 8192), (8192, 32768), (16384, 65536))
    zones = [{"ecs.availability-zone": f"z{n}"} for n in range(3)]
    return [
        Host(arn=f"h{n}", cpu=sizes[n % 3][0], memory=sizes[n % 3][1], attributes=zones[n % 3]) for n in range(count)
    ]


def demands(count: int, seed: int = 1) -> Iterator[Demand]:
    """Make this many demands, of thirty sizes."""
    rng = random.Random(seed)
    sizes = [Demand(cpu=cpu, memory=memory) for cpu in (64, 128, 256, 512, 1024) for memory in range(128, 3200, 512)]
    for _ in range(count):
        yield rng.choice(sizes)


def planned(placement: Placement, count: int) -> Figures:
    """Measure the first start, which ranks all hosts, in ms, and further ones in µs; and how many were placed."""
    placer = Placer(hosts(count), Demand(), placement, (), random.Random(2).random)
    began = time.process_time()
    placer.choose(Demand())
    first = time.process_time() - began
    wanted = list(demands(STARTS_PER_HOST * count))
    tenths: list[float] = []
    placed = 0
    for part in range(10):
        some = wanted[part * len(wanted) // 10 : (part + 1) * len(wanted) // 10]
        began = time.process_time()
        placed += sum(placer.choose(demand) is not None for demand in some)
        tenths.append((time.process_time() - began) / len(some) * 1e6)
    return {"placement": str(placement), "hosts": count, "placed": placed, "first": first * 1e3, "tenths": tenths}


# Report --------------------------------------------------------------------------------------------------------------


def figures(quick: bool) -> Figures:
    """Measure: `cost` in µs of CPU a start, `memory` in MB, and `planning`."""
    keep_to_one_core()
    count, times = (2_000, 1) if quick else (20_000, 5)
    many = 5_000 if quick else 100_000
    costs = cost(count, times)
    named, placed = (statistics.median(each) for each in costs.values())
    memory = {f"{each:,}": peak(each) for each in (1_000, many)}
    planning = [planned(each, number) for each in PLACEMENTS for number in PLANNED_HOSTS[: 2 if quick else 3]]
    return {
        "count": count,
        "cost": costs,
        "memory": memory,
        "planning": planning,
        "bounds": [
            bound(
                "CPU of a placed unlike start, times that of one with its instance named",
                placed / named,
                most=BOUND_RATIO,
            ),
            bound(
                "memory of 100,000 placed unlike starts above 1,000, MB",
                memory[f"{many:,}"] - memory["1,000"],
                most=BOUND_MEMORY,
            ),
            bound(
                "CPU of planning a start, µs, the most expensive placement and number of hosts",
                max(statistics.mean(each["tenths"]) for each in planning),
                most=BOUND_PLANNING,
            ),
        ],
    }


def text(found: Figures) -> str:
    """Return the report: medians, with the minimum and maximum of the rounds."""
    costs = ([name, spread(each, ".1f")] for name, each in found["cost"].items())
    memory = ([f"{starts} starts", f"{megabytes:.1f}"] for starts, megabytes in found["memory"].items())
    planning = (
        [
            each["placement"],
            f"{each['hosts']:,}",
            f"{each['placed']:,}",
            f"{each['first']:.1f}",
            *(f"{cost:.1f}" for cost in (each["tenths"][0], max(each["tenths"]), statistics.mean(each["tenths"]))),
        ]
        for each in found["planning"]
    )
    return "\n".join(
        [
            table([f"{found['count']:,} unlike starts", "µs CPU a start"], costs),
            table(["peak of a stream of placed unlike starts", "MB"], memory),
            table(
                [
                    "placement",
                    "hosts",
                    "placed",
                    "first start, ms",
                    "µs a start: first tenth",
                    "most expensive tenth",
                    "all",
                ],
                planning,
            ),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
