"""Jobs that the worker places, that ECS places, and that wait for capacity: on the local ECS's engine, virtual time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from engine_transport import EngineSetup, engine_client
from virtual_time import run_in_virtual_time, until_virtual

import aioecs
from aioecs import CancelToken, RunTaskRequest, StartTaskRequest
from aioecs._batch.placement.placement_context import options_of
from aioecs.worker import EntryError, LedgerError, MemoryLedger, Message
from aioecs.worker._jobs.decisions import JobOutcome, MessageAction
from aioecs.worker._jobs.job import AttemptResult, Job, Request
from aioecs.worker._jobs.job_starter import JobStarter
from aioecs.worker._jobs.timing import make_lease

CLUSTER = "jobs"
PLACED = StartTaskRequest(cluster=CLUSTER, task_definition="small", container_instances=[])
RUN = RunTaskRequest(cluster=CLUSTER, task_definition="small")
MINUTE = 60.0


class RecordingLedger(MemoryLedger):
    """A ledger that keeps the instances that were recorded; `error` is raised, or False returned, instead."""

    def __init__(self) -> None:
        super().__init__()
        self.instances: list[str] = []
        self.error: Exception | bool | None = None

    async def record_instances(self, key: str, holder: str, instances: tuple[str, ...]) -> bool:
        """Record them."""
        if isinstance(self.error, Exception):
            raise self.error
        self.instances += instances
        recorded = await super().record_instances(key, holder, instances)
        return recorded if self.error is None else False

    @property
    def intents(self) -> int:
        """How many entries there are."""
        return len(self._jobs.entries)


@attrs.define
class Fleet:
    """A cluster of small hosts, and workers that share a ledger."""

    world: EngineSetup
    ledger: RecordingLedger

    @asynccontextmanager
    async def worker(self, request: Request = PLACED, *, wait: float = 0.0) -> AsyncIterator[JobStarter]:
        """Open the starts of one worker."""
        client = self.world.client
        clocks = client.timeouts
        lease = make_lease(clocks.attempt, clocks.consistency, 5.0, None)
        options = options_of(aioecs.Spread(), (), None, wait)
        async with client.batch(on_cancel="keep", delivery="at_least_once", drain=0.0) as batch:
            yield JobStarter(client, batch, self.ledger, lambda _: request, lambda each: each.body, lease, options)

    async def attempt(self, request: Request = PLACED, *, wait: float = 0.0) -> AttemptResult:
        """Try the job once, in a worker of its own."""
        async with self.worker(request, wait=wait) as starter:
            return await starter.attempt(job(), CancelToken())

    def tasks(self) -> list[Any]:
        """Return all tasks of the cluster, also those that have stopped."""
        return self.world.transport.engine.truth.tasks()

    def fill(self) -> list[str]:
        """Fill the hosts, and return the tasks that do."""
        engine, filled = self.world.transport.engine, list[str]()
        for arn in engine.instance_arns(CLUSTER):
            answer = engine.call(
                "StartTask", {"cluster": CLUSTER, "taskDefinition": "whole", "containerInstances": [arn]}
            )
            filled += [task["taskArn"] for task in answer["tasks"]]
        return filled

    def free(self, task: str) -> None:
        """End a task that fills a host."""
        self.world.transport.engine.end_task(task)


def job() -> Job:
    """Return the job of a message that has just been received."""
    return Job(Message(id="m", body="job", receipt="r"))


def in_fleet(work: Callable[[Fleet], Awaitable[None]], *, hosts: int = 3, **behaviour: Any) -> None:
    """Run it with a fleet, in virtual time; the wall clock follows the loop's."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", loop.time)  # as the engine's clock
            async with engine_client(client={"pacing": None}, **behaviour) as world:
                engine = world.transport.engine
                engine.add_cluster(CLUSTER)
                engine.add_instances(hosts, cluster=CLUSTER, cpu=1024, memory=1024)
                engine.add_task_definition("small", cpu=256, memory=256)
                engine.add_task_definition("whole", cpu=1024, memory=1024)
                engine.add_task_definition("giant", cpu=100_000, memory=256)
                await work(Fleet(world, RecordingLedger()))

    run_in_virtual_time(run())


@pytest.mark.parametrize("kind", ["named", "placed", "run"])
def test_three_kinds_of_requests(kind: str) -> None:
    """Each starts one task under the job's token; a second message of the job starts none."""

    async def work(fleet: Fleet) -> None:
        named = PLACED.replace(container_instances=fleet.world.transport.engine.instance_arns(CLUSTER)[:1])
        requests: dict[str, Request] = {"named": named, "placed": PLACED, "run": RUN}
        request = requests[kind]
        first = await fleet.attempt(request)
        assert (first.outcome, first.started, first.adopted) == (JobOutcome.STARTED, 1, 0)
        [task] = fleet.tasks()
        assert first.arns == (task.arn,)
        assert fleet.ledger.instances == ([task.container_instance_arn] if kind == "placed" else [])
        [call] = [each for each in fleet.world.transport.engine.truth.calls() if each.executed]
        assert call.client_token == (call.token if kind == "run" else None), "the key makes the client token"
        second = await fleet.attempt(request)
        assert (second.outcome, second.arns) == (JobOutcome.SETTLED, first.arns)
        assert len(fleet.tasks()) == 1

    in_fleet(work)


@pytest.mark.parametrize("request_", [PLACED, RUN], ids=["placed", "run"])
@pytest.mark.parametrize("stopped", ["allow", "ignore", "reject"])
def test_a_task_of_a_dead_worker_is_found_after_it_stopped(request_: Request, stopped: str) -> None:
    """On whatever host it ran, and also where ECS lists stopped tasks only by their instance."""

    async def work(fleet: Fleet) -> None:
        async with fleet.worker(request_) as dead:
            attempt = asyncio.create_task(dead.attempt(job(), CancelToken()))
            while not fleet.tasks():
                await asyncio.sleep(0.001)
            for _ in range(3):  # cancelled in mid-start, its tasks never reach the ledger
                attempt.cancel()
                await asyncio.sleep(0)
        await asyncio.wait([attempt])
        assert attempt.cancelled()
        assert (await fleet.attempt(request_)).outcome is JobOutcome.HELD
        await asyncio.sleep(2 * MINUTE)
        assert [task.last_status for task in fleet.tasks()] == ["STOPPED"]
        result = await fleet.attempt(request_)
        assert (result.outcome, result.started, result.adopted) == (JobOutcome.STARTED, 0, 1)
        assert result.arns == (fleet.tasks()[0].arn,)
        assert len(fleet.tasks()) == 1

    in_fleet(work, running_seconds=5.0, started_by_with_status=stopped)


@pytest.mark.parametrize("request_", [PLACED, RUN], ids=["placed", "run"])
@pytest.mark.parametrize("minutes", [0.1, 5, 85])
def test_a_job_waits_for_capacity(request_: Request, minutes: float) -> None:
    """It is started when there is some, also after an hour; a worker that dies then leaves an intent that is new."""

    async def work(fleet: Fleet) -> None:
        filled = fleet.fill()
        async with fleet.worker(request_, wait=90 * MINUTE) as starter:
            attempt = asyncio.create_task(starter.attempt(job(), CancelToken()))
            await asyncio.sleep(minutes * MINUTE / 2)
            await until_virtual(lambda: starter.waiting_for_capacity == 1)  # not while it is tried again
            await asyncio.sleep(minutes * MINUTE / 2)
            assert not attempt.done()
            fleet.free(filled[1])
            result = await asyncio.wait_for(attempt, MINUTE)
            assert starter.waiting_for_capacity == 0
        assert (result.outcome, result.started) == (JobOutcome.STARTED, 1)
        [entry] = fleet.ledger._jobs.entries.values()
        assert time.time() - entry.begun < 12 * MINUTE
        [task] = [each for each in fleet.tasks() if each.family == "small"]
        [freed] = [each for each in fleet.tasks() if each.arn == filled[1]]
        assert task.container_instance_arn == freed.container_instance_arn

    in_fleet(work)


@pytest.mark.parametrize("request_", [PLACED, RUN], ids=["placed", "run"])
def test_without_a_wait_its_message_is_returned(request_: Request) -> None:
    """With a growing delay, and no intent stays."""

    async def work(fleet: Fleet) -> None:
        fleet.fill()
        result = await fleet.attempt(request_)
        assert (result.outcome, result.action) == (JobOutcome.NO_CAPACITY, MessageAction.RETURN_LATER)
        assert "RESOURCE:" in result.why
        assert fleet.ledger.intents == 0

    in_fleet(work)


@pytest.mark.parametrize("request_", [PLACED, RUN], ids=["placed", "run"])
def test_a_job_that_waits_when_the_worker_ends_was_not_sent(request_: Request) -> None:
    """Its message is returned at once, and no intent stays."""

    async def work(fleet: Fleet) -> None:
        filled, stop = fleet.fill(), CancelToken()
        async with fleet.worker(request_, wait=90 * MINUTE) as starter:
            attempt = asyncio.create_task(starter.attempt(job(), stop))
            await asyncio.sleep(MINUTE)
            stop.cancel("SIGTERM")
            result = await asyncio.wait_for(attempt, 1.0)
        assert (result.outcome, result.action) == (JobOutcome.WITHDRAWN, MessageAction.RETURN_NOW)
        fleet.free(filled[0])
        await asyncio.sleep(MINUTE)
        assert [each for each in fleet.tasks() if each.family == "small"] == []
        assert fleet.ledger.intents == 0
        assert (await fleet.attempt(request_)).outcome is JobOutcome.STARTED

    in_fleet(work)


def test_a_job_that_waited_with_a_dead_worker_is_taken_over() -> None:
    """Again and again, for hours: an intent under which nothing was sent doesn't become too old."""

    async def work(fleet: Fleet) -> None:
        filled = fleet.fill()
        for _ in range(8):
            async with fleet.worker(wait=90 * MINUTE) as dead:
                attempt = asyncio.create_task(dead.attempt(job(), CancelToken()))
                await asyncio.sleep(9 * MINUTE)
                assert not attempt.done()
                attempt.cancel()
                await asyncio.wait([attempt])
            await asyncio.sleep(2 * MINUTE)
        fleet.free(filled[0])
        assert (await fleet.attempt(wait=MINUTE)).outcome is JobOutcome.STARTED

    in_fleet(work)


def test_a_job_larger_than_any_host_is_refused() -> None:
    """At once, however long jobs may wait: it is left to the redrive policy, with the reason."""

    async def work(fleet: Fleet) -> None:
        began = fleet.world.now
        result = await fleet.attempt(PLACED.replace(task_definition="giant"), wait=90 * MINUTE)
        assert (result.outcome, result.action) == (JobOutcome.REFUSED, MessageAction.DEAD_LETTER)
        assert "larger than any container instance" in result.why
        assert (fleet.world.now - began < MINUTE, fleet.ledger.intents) == (True, 0)

    in_fleet(work)


def test_a_host_that_refuses_is_left_for_another() -> None:
    """The ledger has the one where it was sent last."""

    async def work(fleet: Fleet) -> None:
        await fleet.attempt(wait=0.0)  # so that the inventory is known
        full = fleet.fill()
        fleet.free(full[-1])
        async with fleet.worker() as starter:
            result = await starter.attempt(Job(Message(id="n", body="other")), CancelToken())
        assert result.outcome is JobOutcome.STARTED
        task = fleet.tasks()[-1]
        assert fleet.ledger._jobs.entries["other"].instances == (task.container_instance_arn,)

    in_fleet(work)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (LedgerError("unplugged"), JobOutcome.LEDGER_UNREACHABLE),
        (EntryError("too large"), JobOutcome.INVALID),
        (False, JobOutcome.NOT_SENT),
    ],
)
def test_nothing_is_sent_unless_the_ledger_has_its_instance(error: Any, outcome: JobOutcome) -> None:
    """The ledger failed, or the job is another worker's by now; the host's capacity is free again."""

    async def work(fleet: Fleet) -> None:
        fleet.ledger.error = error
        assert (await fleet.attempt()).outcome is outcome
        assert fleet.tasks() == []
        fleet.ledger.error = None
        await asyncio.sleep(2 * MINUTE)
        assert (await fleet.attempt()).outcome is JobOutcome.STARTED
        for number in range(11):
            async with fleet.worker() as starter:
                result = await starter.attempt(Job(Message(id="n", body=f"{number}")), CancelToken())
                assert result.outcome is JobOutcome.STARTED, "three hosts take twelve"

    in_fleet(work)
