"""Workers that place their jobs and are killed at random, in virtual time: `benchmarks.worker_kills` in small."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Any, cast

import pytest
from engine_transport import EngineSetup, engine_client
from fake_sqs import URL, FakeSQS
from virtual_time import run_in_virtual_time

from aioecs import RunTaskRequest, StartTaskRequest
from aioecs.worker import MemoryLedger, Message, Worker

CLUSTER = "jobs"
JOBS, HOSTS, SLOTS = 40, 4, 3


def placed(message: Message) -> StartTaskRequest:
    return StartTaskRequest(cluster=CLUSTER, task_definition="small", container_instances=[], group=message.body)


def by_ecs(message: Message) -> RunTaskRequest:
    return RunTaskRequest(cluster=CLUSTER, task_definition="small", group=message.body)


def make_worker(world: EngineSetup, sqs: FakeSQS, ledger: MemoryLedger, **more: Any) -> Worker:
    """Return a worker whose jobs wait for capacity; a job's key is its body."""
    return Worker(
        world.client,
        URL,
        key=lambda message: message.body,
        ledger=ledger,
        wait_for_capacity=3600,
        concurrency=20,
        visibility=10,
        long_poll=1,
        drain=0.0,
        session=cast("Any", sqs),
        region_name="us-east-1",
        **more,
    )


async def kill_until_empty(world: EngineSetup, sqs: FakeSQS, rng: random.Random, **worker: Any) -> int:
    """Run three workers until the queue is empty, and end one without draining now and then; return how often."""
    runs = [asyncio.create_task(make_worker(world, sqs, **worker).run()) for _ in range(3)]
    kills = 0
    while sqs.messages and world.now < 10_000:
        await asyncio.sleep(rng.uniform(1, 15))
        killed = runs.pop(rng.randrange(3))
        killed.cancel()
        await asyncio.wait([killed])
        runs.append(asyncio.create_task(make_worker(world, sqs, **worker).run()))
        kills += 1
    for run in runs:
        run.cancel()
    await asyncio.wait(runs)
    return kills


@pytest.mark.parametrize("to_request", [placed, by_ecs])
def test_each_job_is_one_task_on_a_host_that_had_capacity(to_request: Any) -> None:
    """Sent twice each, on full hosts, beside those that are draining or have no agent."""
    rng = random.Random(5)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", loop.time)  # as the engine's clock
            behaviour: dict[str, Any] = {"draining": "accept", "started_by_with_status": "ignore"}
            behaviour["running_seconds"] = lambda _: rng.uniform(5, 20)
            async with engine_client(client={"pacing": None}, latency=1.0, **behaviour) as world:
                engine = world.transport.engine
                engine.add_cluster(CLUSTER)
                engine.add_task_definition("small", cpu=10, memory=10)
                engine.add_instances(HOSTS, cluster=CLUSTER, cpu=10 * SLOTS, memory=10 * SLOTS)
                good = set(engine.instance_arns(CLUSTER))
                engine.add_instances(2, cluster=CLUSTER, status="DRAINING")
                engine.add_instances(2, cluster=CLUSTER, agent_connected=False)
                sqs = FakeSQS(*[str(job) for job in range(JOBS)] * 2)
                assert await kill_until_empty(world, sqs, rng, ledger=MemoryLedger(), to_request=to_request) >= 5
                assert sqs.messages == {}
                tasks = engine.truth.tasks()
                assert Counter(task.group for task in tasks) == Counter(str(job) for job in range(JOBS))
                assert {task.container_instance_arn for task in tasks} <= good
                for host in good:
                    here = [task for task in tasks if task.container_instance_arn == host]
                    assert (
                        max(sum(each.created_at <= task.created_at < ended(each) for each in here) for task in here)
                        <= SLOTS
                    )

    run_in_virtual_time(main())


def ended(task: Any) -> float:
    return float("inf") if task.stopped_at is None else float(task.stopped_at)
