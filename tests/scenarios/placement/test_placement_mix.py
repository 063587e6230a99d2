"""Any mix of requests: unlike ones, keys, one alone, the hook, a large one among small ones, and how many reads."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from ecs_with_changing_hosts import ModelECS
from fake_transport import fake_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import CapacityDemand, IdempotencyMismatch, InvalidRequest, StartTaskRequest, TaskOverride
from aioecs._model.attempt import Attempt, Lost
from aioecs._transport.transport import SentMarker
from aioecs.errors import AnswerLost

SMALL, BIG = StartTaskRequest(task_definition="1-1"), StartTaskRequest(task_definition="8-8")


def a_model(*hosts: int, lasts: float = 1e6) -> ModelECS:
    """Make a model of hosts with so much CPU and memory each."""
    ecs = ModelECS(lasts=lambda: lasts)
    for size in hosts:
        ecs.join(size, size)
    return ecs


def unlike(count: int) -> Iterator[StartTaskRequest]:
    """Make requests of which no two are alike."""
    for n in range(count):
        env = [aioecs.KeyValuePair(name="N", value=str(n))]
        over = TaskOverride(container_overrides=[aioecs.ContainerOverride(name="main", environment=env)])
        yield StartTaskRequest(task_definition=("1-1", "2-1", "1-2")[n % 3], overrides=over)


def test_unlike_requests_of_several_definitions() -> None:
    """From an iterable and an async one: each is started once, with its own request."""

    async def drawn(count: int) -> AsyncIterator[StartTaskRequest]:
        for request in unlike(count):
            await asyncio.sleep(0)
            yield request

    async def main() -> None:
        ecs = a_model(100, 100, 100)
        async with fake_client(ecs) as client:  # type: ignore[arg-type]
            for requests in (unlike(60), drawn(60)):
                report = await client.place_tasks(requests)
                assert [start.request for start in report.starts] == list(unlike(60))
                assert len(report.started) == 60
        assert ecs.requests["DescribeTaskDefinition"] == 3
        assert ecs.requests["ListContainerInstances"] == 1
        assert ecs.refusals == 0

    run_in_virtual_time(main())


def test_equal_starts_of_a_mix_share_calls() -> None:
    """Ten a call, however they are mixed."""

    async def main() -> None:
        ecs = a_model(100, 100)
        async with fake_client(ecs) as client:  # type: ignore[arg-type]
            mixed = [StartTaskRequest(task_definition=("1-1", "2-1")[n % 2]) for n in range(40)]
            assert len((await client.place_tasks(mixed)).started) == 40
        assert ecs.requests["StartTask"] == 4

    run_in_virtual_time(main())


def test_a_large_start_is_not_starved_by_small_ones() -> None:
    """A stream of small ones fills each gap as it comes; after a hundred a host is kept for the large one."""

    async def main() -> None:
        rng = random.Random(3)
        ecs = ModelECS(lasts=lambda: rng.uniform(0.5, 2.0))
        for _ in range(4):
            ecs.join(8, 8)
        async with fake_client(ecs) as client, client.batch() as batch:  # type: ignore[arg-type]
            requests = [*([SMALL] * 40), BIG, *([SMALL] * 900)]
            order = [start async for start in batch.place_tasks(requests, wait_for_capacity=600)]
        assert {start.outcome.value for start in order} == {"started"}
        at = next(n for n, start in enumerate(order) if start.request is BIG)
        assert at < 300

    run_in_virtual_time(main())


def test_what_is_larger_than_any_host_is_refused_at_once() -> None:
    """However long it might wait; it says so, and the others start."""

    async def main() -> None:
        ecs = a_model(8, 4)
        async with fake_client(ecs) as client:  # type: ignore[arg-type]
            huge = StartTaskRequest(task_definition="9-1")
            began = ecs.loop.time()
            report = await client.place_tasks([SMALL, huge, SMALL], wait_for_capacity=3600)
            assert ecs.loop.time() - began < 1
        assert [start.outcome.value for start in report.starts] == ["started", "refused", "started"]
        failure = report.starts[1].failure
        assert failure is not None
        assert failure.reason == "RESOURCE:CPU"
        assert "larger than any container instance" in (failure.detail or "")

    run_in_virtual_time(main())


def test_hosts_that_join_are_noticed_and_the_hook_gets_the_demand() -> None:
    """Once for as long as the same is lacking; what it raises hurts no start."""
    received: list[CapacityDemand] = []

    async def main() -> None:
        ecs = a_model(2)

        def lacking(demand: CapacityDemand) -> None:
            received.append(demand)
            if len(received) == 1:
                ecs.loop.call_later(3.0, ecs.join, 8, 8)
            raise ValueError("a defect of the hook's")

        async with fake_client(ecs, on_capacity_shortage=lacking) as client:  # type: ignore[arg-type]
            began = ecs.loop.time()
            report = await client.place_tasks(SMALL, count=6, wait_for_capacity=60)
            assert len(report.started) == 6
            assert ecs.loop.time() - began < 3.5

    run_in_virtual_time(main())
    assert [(each.starts, each.cpu, each.memory, each.largest_cpu) for each in received] == [(4, 4, 4, 1)]


def test_place_task_answers_as_start_task_does() -> None:
    """A task, or a failure in the answer; what is wrong is raised."""

    async def main() -> None:
        ecs = a_model(1)
        async with fake_client(ecs) as client, client.batch() as batch:  # type: ignore[arg-type]
            answer = await client.place_task(SMALL)
            assert (len(answer.tasks), answer.failures) == (1, ())
            full = await batch.place_task(SMALL)
            assert [failure.reason for failure in full.failures] == ["RESOURCE:CPU"]
            token = aioecs.CancelToken()
            token.cancel("enough")
            with pytest.raises(aioecs.StartCancelled):
                await client.place_task(SMALL, token)
            for wrong in ({"idempotency_key": ""}, {"idempotency_key": 7}):
                with pytest.raises(InvalidRequest, match="idempotency_key"):
                    await client.place_task(SMALL, **wrong)
            with pytest.raises(InvalidRequest, match="count"):
                await client.place_tasks([SMALL], count=2)
            with pytest.raises(InvalidRequest, match="requests"):
                await client.place_tasks(7)  # type: ignore[arg-type]

    run_in_virtual_time(main())


def test_what_a_key_has_started_is_found_wherever_it_runs() -> None:
    """By another client, and by the same at the same time; on an instance that has no capacity left, too."""

    async def main() -> None:
        ecs = a_model(1, 2)
        async with fake_client(ecs) as first:  # type: ignore[arg-type]
            one, same = await asyncio.gather(*(first.place_task(SMALL, idempotency_key="job") for _ in range(2)))
            assert one.tasks == same.tasks
        async with fake_client(ecs) as second:  # type: ignore[arg-type]
            keys: Any = lambda request: request.group or "job"  # noqa: E731
            other = SMALL.replace(group="other")
            report = await second.place_tasks([SMALL, other, SMALL], idempotency_key=keys)
            assert [start.task for start in report.starts][::2] == [one.tasks[0]] * 2
            assert len(report.started) == 3
            with pytest.raises(IdempotencyMismatch):
                await second.place_task(StartTaskRequest(task_definition="1-2"), idempotency_key="job")
        assert len(ecs.started) == 2

    run_in_virtual_time(main())


def test_reads_are_few_on_hosts_with_short_tasks() -> None:
    """10,000 starts on 50 hosts of ten places each, tasks of 2 to 5 s: fewer than 40 reads for 1,000 starts."""

    async def main() -> tuple[Counter[str], float]:
        rng = random.Random(5)
        ecs = ModelECS(lasts=lambda: rng.uniform(2.0, 5.0), latency=lambda: 0.01)
        for _ in range(50):
            ecs.join(10, 10)
        async with fake_client(ecs, pacing=aioecs.Pacing()) as client:  # type: ignore[arg-type]
            began = ecs.loop.time()
            report = await client.place_tasks(SMALL, count=10_000, wait_for_capacity=600)
            assert len(report.started) == 10_000
            return ecs.requests, ecs.loop.time() - began

    requests, seconds = run_in_virtual_time(main())
    reads = sum(count for name, count in requests.items() if name != "StartTask")
    assert reads <= 400, (reads, seconds)
    assert seconds <= 1.1 * 10_000 * 3.5 / 500, (reads, seconds)


@pytest.mark.parametrize("acted", [False, True])
def test_a_lost_answer_keeps_capacity_only_until_a_snapshot_shows_it(acted: bool) -> None:
    """Others are placed where the lost start doesn't run, and it is placed elsewhere when it is refused in the end."""

    class Losing(ModelECS):
        """Loses the first answer."""

        async def attempt(self, operation: Any, request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            if operation.name != "StartTask" or self.requests["lost"]:
                return await super().attempt(operation, request, sent_marker)
            self.requests["lost"] += 1
            sent_marker.body_started = True
            if acted:
                self.start_task(request)
            return Lost(AnswerLost("reset"))

    async def main() -> None:
        ecs = Losing(lasts=lambda: 40.0)
        ecs.join(1, 1)
        began = ecs.loop.time()
        async with fake_client(ecs, delivery="at_least_once") as client:  # type: ignore[arg-type]
            first = asyncio.create_task(client.place_task(SMALL, wait_for_capacity=600))
            await asyncio.sleep(5)
            second = await client.place_task(SMALL, wait_for_capacity=600)
            assert len(second.tasks) == 1
            assert (ecs.loop.time() - began < 10) is not acted
            assert len((await first).tasks) == 1
        assert len(ecs.started) == 2

    run_in_virtual_time(main())


def test_starts_that_are_queued_leave_a_host_that_drains() -> None:
    """A stream refreshes what is older than a minute; what isn't sent yet goes elsewhere, and all start once."""

    class Slow(ModelECS):
        """Takes tasks on draining hosts too, and notes when and where."""

        started_on: ClassVar[list[tuple[float, str]]] = []

        def start_task(self, request: StartTaskRequest) -> aioecs.StartTaskResponse:
            (arn,) = request.container_instances
            self.started_on.append((self.loop.time(), arn))
            status, self.hosts[arn].status = self.hosts[arn].status, "ACTIVE"
            response = super().start_task(request)
            self.hosts[arn].status = status
            return response

    async def main() -> None:
        ecs = Slow(lasts=lambda: 1e6)
        hosts = [ecs.join(10_000, 10_000) for _ in range(4)]
        began = ecs.loop.time()
        async with fake_client(ecs, pacing=aioecs.Pacing(rate=10, burst=1)) as client:  # type: ignore[arg-type]
            placement = asyncio.create_task(client.place_tasks(unlike(1500)))
            await asyncio.sleep(30)
            hosts[0].status = "DRAINING"
            assert len((await placement).started) == 1500
        there = [at - began for at, arn in ecs.started_on if arn == hosts[0].arn]
        assert 30 < max(there) < 61
        assert ecs.requests["ListContainerInstances"] <= 4

    run_in_virtual_time(main())
