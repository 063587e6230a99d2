"""How long 5,000 unlike jobs on 40 hosts take, compared with the least that the bucket and the capacity allow.

Where answers are lost, the least has more in it. A start that ECS did not act on can be sent again only once its
absence is certain, after `consistency` seconds; what the first request started may yet show, so another `consistency`
passes before its result is final. Nearly always one of the last starts is such a one.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import attrs
import pytest
from ecs_with_changing_hosts import ModelECS
from fake_transport import fake_client
from throttling.simulation import Bucket
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import StartTaskRequest, TaskOverride
from aioecs._model.attempt import Attempt, Lost, Rejected
from aioecs._transport.transport import SentMarker
from aioecs.errors import AnswerLost, ThrottlingException

JOBS, BURST, RATE, LATENCY = 5_000, 100, 40, 0.02
CONSISTENCY = 3.0
SIZES = [(1, 1), (1, 3), (2, 2), (3, 1), (4, 4)]


class FaultyECS(ModelECS):
    """A model of ECS behind a token bucket: a part of the answers is lost, half of them before ECS acted."""

    def __init__(self, rng: random.Random, ambiguous: float) -> None:
        super().__init__(lasts=lambda: rng.uniform(1, 10), latency=lambda: LATENCY / 2)
        self.rng = rng
        self.ambiguous = ambiguous
        self.lost = 0
        self.sent = 0
        """Requests that the bucket let through."""
        self.first_sent: dict[str | None, int] = {}
        """By token: the number of its first request."""
        self.not_acted_on: Counter[str | None] = Counter()
        """By token: requests that ECS did not act on, and whose answer was lost."""
        self.bucket = Bucket(BURST, RATE, BURST)
        self.work = 0.0
        """CPU seconds of all tasks."""
        self.bad: set[str] = set()
        self.shown_bad: set[str] = set()
        """Hosts that a description has shown as bad: from now on no start may be sent there."""
        self.on_bad_hosts = 0

    async def attempt(self, operation: Any, request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        """Answer, throttle, or lose the answer."""
        if operation.name != "StartTask":
            return await super().attempt(operation, request, sent_marker)
        sent_marker.body_started = True
        if not self.bucket.take(self.loop.time()):
            await asyncio.sleep(LATENCY)
            return Rejected(ThrottlingException("Rate exceeded"))
        self.sent += 1
        self.first_sent.setdefault(request.started_by, self.sent)
        fate = self.rng.random()
        self.lost += fate < self.ambiguous
        if fate < self.ambiguous / 2:
            self.not_acted_on[request.started_by] += 1
            await asyncio.sleep(LATENCY)
            return Lost(AnswerLost("the connection was closed"))
        answered = await super().attempt(operation, request, sent_marker)
        return Lost(AnswerLost("the connection was closed")) if fate < self.ambiguous else answered

    def least(self, capacity: int) -> float:
        """Compute the least makespan, in seconds, of any order in which the same answers are lost."""
        requests = JOBS + self.not_acted_on.total()
        bound = max((requests - BURST) / RATE, self.work / capacity)
        tails = (
            self.first_sent[token] / requests * bound + (times + 1) * CONSISTENCY
            for token, times in self.not_acted_on.items()
        )
        return max(bound, *tails, 0.0)

    def start_task(self, request: StartTaskRequest) -> aioecs.StartTaskResponse:
        """Start what fits, on draining hosts too: it is not confirmed that ECS refuses that."""
        draining = [self.hosts[arn] for arn in request.container_instances if self.hosts[arn].status == "DRAINING"]
        for host in draining:
            host.status = "ACTIVE"
        response = super().start_task(request)
        for host in draining:
            host.status = "DRAINING"
        if not self.not_acted_on[request.started_by]:  # a start that is sent again goes where it was sent first
            self.on_bad_hosts += sum(task.container_instance_arn in self.shown_bad for task in response.tasks)
        return response

    def describe_container_instances(self, request: Any) -> aioecs.DescribeContainerInstancesResponse:
        """Show them; what is in flight to bad hosts by then still arrives there."""
        self.loop.call_later(LATENCY, self.shown_bad.update, set(self.bad))
        return super().describe_container_instances(request)

    def occupy(self, host: Any, cpu: int, memory: int, seconds: float) -> bool:
        """Count the work."""
        self.work += cpu * seconds
        return super().occupy(host, cpu, memory, seconds)

    async def lose_hosts(self) -> None:
        """Drain two hosts, and let one lose its agent."""
        hosts = list(self.hosts.values())
        await asyncio.sleep(10)
        for host in hosts[:2]:
            host.status = "DRAINING"
            self.bad.add(host.arn)
        await asyncio.sleep(10)
        hosts[2].agent = False
        self.bad.add(hosts[2].arn)


def jobs() -> Iterator[StartTaskRequest]:
    """Make requests of five sizes, each with an environment of its own."""
    for n in range(JOBS):
        cpu, memory = SIZES[n % len(SIZES)]
        overrides = TaskOverride.for_container("main", environment={"JOB": str(n)})
        yield StartTaskRequest(task_definition=f"{cpu}-{memory}", overrides=overrides)


@attrs.frozen
class Took:
    """What a run took, in seconds of virtual time."""

    seconds: float
    bound: float
    """The longer of what the bucket takes for one call a job, and what the hosts that stay take for the work."""
    least: float
    """The same with the lost answers."""
    lost: int
    """Answers that were lost."""
    reads: int
    """Requests that looked lost answers up."""


async def run(host_sizes: tuple[int, int, int], ambiguous: float) -> Took:
    """Place all jobs, and check what must be true of them."""
    ecs = FaultyECS(random.Random(7), ambiguous)
    for n in range(40):
        ecs.join(host_sizes[n % 3], host_sizes[n % 3])
    ecs.bucket.now = ecs.loop.time()
    settings: Any = {"timeouts": aioecs.Timeouts(consistency=CONSISTENCY), "delivery": "at_least_once"}
    async with fake_client(cast("Any", ecs), pacing=aioecs.Pacing(), **settings) as client:
        changing = asyncio.create_task(ecs.lose_hosts())
        began = ecs.loop.time()
        report = await client.place_tasks(jobs(), wait_for_capacity=3600)
        seconds = ecs.loop.time() - began
        await changing
    assert Counter(start.outcome.value for start in report.starts) == {"started": JOBS}
    arns = {start.task.task_arn for start in report.starts if start.task is not None}
    assert len(arns) == JOBS == len(ecs.started)
    assert ecs.shown_bad == ecs.bad != set()
    assert ecs.on_bad_hosts == 0
    capacity = sum(host.cpu for host in ecs.hosts.values() if host.arn not in ecs.bad)
    bound = max((JOBS - BURST) / RATE, ecs.work / capacity)
    reads = ecs.requests["ListTasks"] + ecs.requests["DescribeTasks"]
    return Took(seconds, bound, ecs.least(capacity), ecs.lost, reads)


LARGE, SMALL = (16, 24, 32), (6, 8, 12)  # hosts on which the bucket, or the capacity, is what takes longest


@pytest.mark.parametrize("host_sizes", [LARGE, SMALL], ids=["bucket-bound", "capacity-bound"])
def test_without_lost_answers(host_sizes: tuple[int, int, int]) -> None:
    """All start once, none on a bad host, within 1.1 of the least."""
    took = run_in_virtual_time(run(host_sizes, 0.0))
    assert took.seconds <= 1.1 * took.bound, took
    assert (took.lost, took.reads) == (0, 0)


@pytest.mark.parametrize("host_sizes", [LARGE, SMALL], ids=["bucket-bound", "capacity-bound"])
def test_with_lost_answers(host_sizes: tuple[int, int, int]) -> None:
    """5 % of the answers are lost: all start once, none on a bad host, close to the least, with few lookups."""
    took = run_in_virtual_time(run(host_sizes, 0.05))
    assert took.seconds <= 1.05 * took.least, took
    assert took.least <= took.bound + 5 * CONSISTENCY, took
    assert took.lost >= JOBS * 0.04
    assert took.reads <= 7 * took.lost, took
