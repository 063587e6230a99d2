"""_job_results: jobs to the end of their tasks, with retries, and workers that are killed, in virtual time."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from engine_transport import EngineSetup, engine_client
from fake_sqs import URL, FakeSQS
from fake_transport import fake_client
from virtual_time import run_in_virtual_time

from aioecs import CancelToken, StartTaskRequest, Task, TaskResult
from aioecs.errors import AnswerLost, InvalidRequest, TaskMissing, WaitCancelled, WaitTimeout
from aioecs.worker import LedgerError, MemoryLedger, Message, Worker, WorkerStatistics
from aioecs.worker._jobs import timing
from aioecs.worker._jobs.decisions import JobOutcome, MessageAction
from aioecs.worker._jobs.job import AttemptResult, Job
from aioecs.worker._jobs.job_runner import JobRunner

JOB = Job(Message(id="m", body="b"))
STARTED, SETTLED = (
    AttemptResult(JobOutcome.STARTED, MessageAction.DELETE, arns=("a",), started=1),
    AttemptResult(JobOutcome.SETTLED, MessageAction.DELETE, arns=("a",)),
)


class ScriptedClient:
    """Waits for these results, one after the other."""

    def __init__(self, *script: bool | Exception | None) -> None:
        self.script = list(script)

    async def wait_for_results(self, arns: Any, stop: Any, **options: Any) -> list[TaskResult]:
        what = self.script.pop(0)
        if isinstance(what, Exception):
            raise what
        return [TaskResult(task=Task(task_arn="a"), succeeded=what, exit_code=3 if what is False else None)]


class ScriptedStarter:
    """Returns these results, and keeps the numbers of the attempts."""

    def __init__(self, *script: AttemptResult, begun: int | Exception = 0) -> None:
        self.script = list(script)
        self.numbers: list[int] = []
        self.begun = begun

    async def attempt(self, job: Job, stop: CancelToken, number: int = 0) -> AttemptResult:
        self.numbers.append(number)
        return self.script.pop(0)

    async def was_begun(self, job: Job, number: int) -> bool:
        if isinstance(self.begun, Exception):
            raise self.begun
        return number < self.begun


@pytest.mark.parametrize(
    ("starts", "ends", "outcome", "action", "attempts", "started"),
    [
        ([STARTED], [True], JobOutcome.SUCCEEDED, MessageAction.DELETE, 1, 1),
        ([SETTLED], [True], JobOutcome.SUCCEEDED, MessageAction.DELETE, 1, 0),
        ([SETTLED, STARTED], [False, True], JobOutcome.SUCCEEDED, MessageAction.DELETE, 2, 1),
        ([STARTED, STARTED, STARTED], [False, False, False], JobOutcome.FAILED, MessageAction.DEAD_LETTER, 3, 3),
        ([STARTED], [None], JobOutcome.RESULT_UNKNOWN, MessageAction.DEAD_LETTER, 1, 1),
        ([STARTED], [TaskMissing("gone")], JobOutcome.RESULT_UNKNOWN, MessageAction.DEAD_LETTER, 1, 1),
        ([STARTED], [WaitCancelled("the end")], JobOutcome.STILL_RUNNING, MessageAction.RETURN_NOW, 1, 1),
        ([STARTED], [WaitTimeout("too long")], JobOutcome.STILL_RUNNING, MessageAction.RETURN_NOW, 1, 1),
        ([STARTED], [AnswerLost("reset")], JobOutcome.RESULT_UNAVAILABLE, MessageAction.RETURN_LATER, 1, 1),
        (
            [AttemptResult(JobOutcome.NO_CAPACITY, MessageAction.RETURN_LATER)],
            [],
            JobOutcome.NO_CAPACITY,
            MessageAction.RETURN_LATER,
            1,
            0,
        ),
        (
            [STARTED, AttemptResult(JobOutcome.HELD, MessageAction.RETURN_AFTER_LEASE)],
            [False],
            JobOutcome.HELD,
            MessageAction.RETURN_AFTER_LEASE,
            2,
            1,
        ),
    ],
)
def test_what_becomes_of_a_job(
    starts: list[AttemptResult],
    ends: list[Any],
    outcome: JobOutcome,
    action: MessageAction,
    attempts: int,
    started: int,
) -> None:
    """Each attempt is the next one of its key; what was not started is tried as it ever was."""
    starter = ScriptedStarter(*starts)
    runner = JobRunner(starter, cast("Any", ScriptedClient(*ends)), retry_failed=2, container=None)
    tried = asyncio.run(runner.attempt(JOB, CancelToken()))
    assert (tried.outcome, tried.action, tried.started) == (outcome, action, started)
    assert starter.numbers == list(range(attempts))


@pytest.mark.parametrize(
    ("begun", "ends", "outcome", "attempts"),
    [
        (2, [TaskMissing("gone"), True], JobOutcome.SUCCEEDED, 2),
        (3, [TaskMissing("gone"), TaskMissing("gone"), False], JobOutcome.FAILED, 3),
        (3, [TaskMissing("gone")] * 3, JobOutcome.RESULT_UNKNOWN, 3),
        (1, [TaskMissing("gone")], JobOutcome.RESULT_UNKNOWN, 1),
        (LedgerError("unplugged"), [TaskMissing("gone")], JobOutcome.RESULT_UNAVAILABLE, 1),
    ],
)
def test_what_ecs_has_forgotten(begun: Any, ends: list[Any], outcome: JobOutcome, attempts: int) -> None:
    """An attempt failed if the ledger has one after it; how the last one ended can't be known."""
    starter = ScriptedStarter(SETTLED, SETTLED, SETTLED, begun=begun)
    runner = JobRunner(starter, cast("Any", ScriptedClient(*ends)), retry_failed=2, container=None)
    assert asyncio.run(runner.attempt(JOB, CancelToken())).outcome is outcome
    assert starter.numbers == list(range(attempts))


# -------------------------------------------------------------------------------------------------------------- a storm


class Redriving(FakeSQS):
    """A queue that moves a message to its dead letters after so many receives."""

    def __init__(self, *bodies: str, receives: int) -> None:
        super().__init__(*bodies, receives=receives)
        self.dead: list[str] = []
        self.most = receives

    async def receive_message(self, **members: Any) -> dict[str, Any]:
        answer = await super().receive_message(**members)
        found = answer.get("Messages", [])
        for each in found:
            if int(each["Attributes"]["ApproximateReceiveCount"]) > self.most:
                self.dead.append(self.messages.pop(each["MessageId"]).body)
        return {**answer, "Messages": [each for each in found if each["MessageId"] in self.messages]}


def worker_of(world: EngineSetup, sqs: FakeSQS, ledger: MemoryLedger, **more: Any) -> Worker:
    """Return a worker that sees its jobs to the end; a job's key is its body."""

    def to_request(message: Message) -> StartTaskRequest:
        instances = world.transport.engine.instance_arns()
        return StartTaskRequest(task_definition="demo", container_instances=instances, group=message.body)

    options: dict[str, Any] = {"until": "stopped", "retry_failed": 2, "long_poll": 1, "concurrency": 100, **more}
    session = cast("Any", sqs)
    return Worker(
        world.client,
        URL,
        to_request,
        key=lambda message: message.body,
        ledger=ledger,
        session=session,
        region_name="us-east-1",
        **options,
    )


def on_virtual_time(work: Callable[[], Any]) -> None:
    """Run it on a loop whose clock leaps, and let the wall's clock go with it."""

    async def worked() -> None:
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", lambda: 1_800_000_000.0 + loop.time())
            await work()

    run_in_virtual_time(worked())


async def killed_now_and_then(world: EngineSetup, sqs: Redriving, ledger: MemoryLedger, rng: random.Random) -> int:
    """Run workers until the queue is empty; each is killed after some seconds, but the last. Return how many died."""
    deaths = 0
    while sqs.messages:
        run = asyncio.create_task(worker_of(world, sqs, ledger, drain=0.0, visibility=10).run())
        ends = world.now + (rng.uniform(2, 40) if deaths < 12 else 10_000)
        while sqs.messages and world.now < ends:
            await asyncio.sleep(1)
        deaths += bool(sqs.messages)
        run.cancel()
        await asyncio.wait([run])
    return deaths


def test_jobs_and_workers_that_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt is one task, each job's fate is right, and dead letters are those that failed three times.

    `python -m benchmarks.worker_kills` does it with 500 jobs, in processes that get SIGKILL.
    """
    monkeypatch.setattr(timing, "LONGEST_DELAY", 10.0)  # so that dead letters take minutes, not hours
    rng = random.Random(7)
    attempts: Counter[str] = Counter()

    def exit_code(task: Any) -> int:
        attempts[task.group] += 1
        kind = int(task.group) % 20
        return 1 if kind in (0, 1) or (kind == 2 and attempts[task.group] < 3) else 0

    async def work() -> None:
        behaviour: dict[str, Any] = {"running_seconds": lambda task: rng.uniform(1, 30), "exit_code": exit_code}
        async with engine_client(client={"pacing": None}, **behaviour) as world:
            jobs = [str(number) for number in range(60)]
            sqs, ledger = Redriving(*jobs, receives=60), MemoryLedger()
            assert await killed_now_and_then(world, sqs, ledger, rng) >= 5
            tasks = Counter(task.group for task in world.transport.engine.truth.tasks())
            expected = {job: 3 if int(job) % 20 in (0, 1, 2) else 1 for job in jobs}
            assert tasks == Counter(expected)
            assert sorted(sqs.dead, key=int) == [job for job in jobs if int(job) % 20 in (0, 1)]
            assert world.transport.engine.truth.running() == []

    on_virtual_time(work)


def test_a_worker_that_ends_gives_back_what_runs() -> None:
    """The task goes on, and who receives the message next waits for its end; the counts show it."""

    async def work() -> None:
        async with engine_client(running_seconds=100.0) as world:
            sqs, ledger = FakeSQS("1"), MemoryLedger()
            counts: list[WorkerStatistics] = []
            for seconds in (20.0, 200.0):
                stop = CancelToken()
                asyncio.get_running_loop().call_later(seconds, stop.cancel)
                worker = worker_of(world, sqs, ledger)
                assert not worker.healthy
                running = asyncio.create_task(worker.run(stop))
                await asyncio.sleep(15)
                assert worker.healthy
                with ThreadPoolExecutor(1) as pool:
                    assert pool.submit(lambda worker=worker: worker.healthy).result()
                counts.append(await running)
                assert not worker.healthy
            assert (counts[0].started, counts[0].succeeded, len(counts[0].left)) == (1, 0, 1)
            assert (counts[1].started, counts[1].succeeded, counts[1].deleted) == (0, 1, 1)
            assert sqs.messages == {}

    on_virtual_time(work)


def test_a_failure_that_ecs_has_forgotten_leads_to_the_attempt_after_it() -> None:
    """The ledger has that one, so the first is known to have failed: it is waited for, and nothing more is started."""

    async def work() -> None:
        codes = iter([1, 0])
        async with engine_client(running_seconds=5000.0, exit_code=lambda _: next(codes)) as world:
            sqs, ledger = FakeSQS("1"), MemoryLedger()
            counts: list[WorkerStatistics] = []
            for seconds in (9000.0, 5000.0):  # the first task stopped more than an hour before the second worker
                stop = CancelToken()
                asyncio.get_running_loop().call_later(seconds, stop.cancel)
                async with fake_client(cast("Any", world.transport)) as client:  # of another process
                    process = EngineSetup(client, world.transport)
                    counts.append(await worker_of(process, sqs, ledger, long_poll=20).run(stop))
            assert [(count.started, count.succeeded, count.unknown) for count in counts] == [(2, 0, 0), (0, 1, 0)]
            assert sqs.messages == {}
            assert len(world.transport.engine.truth.tasks()) == 2

    on_virtual_time(work)


def test_a_result_that_ecs_has_forgotten_is_unknown() -> None:
    """Nothing says that it failed, so it is not started again; the next worker finds the same."""

    async def work() -> None:
        async with engine_client(running_seconds=5000.0) as world:
            sqs, ledger = FakeSQS("1"), MemoryLedger()
            first = CancelToken()
            asyncio.get_running_loop().call_later(10.0, first.cancel)
            await worker_of(world, sqs, ledger).run(first)
            await asyncio.sleep(9000)
            for _ in range(2):
                stop = CancelToken()
                asyncio.get_running_loop().call_later(100.0, stop.cancel)
                counts = await worker_of(world, sqs, ledger).run(stop)
                assert (counts.started, counts.succeeded, counts.unknown > 0) == (0, 0, True)
            assert len(ledger._jobs.entries) == 1
            assert len(sqs.messages) == 1

    on_virtual_time(work)


def test_a_queue_that_hangs_is_not_healthy() -> None:
    """For more than a minute without an answer."""

    async def work() -> None:
        async with engine_client() as world:
            sqs = FakeSQS(receive_message=[600.0])
            stop = CancelToken()
            worker = worker_of(world, sqs, MemoryLedger(), long_poll=20)
            running = asyncio.create_task(worker.run(stop))
            await asyncio.sleep(70)
            assert worker.healthy
            await asyncio.sleep(20)
            assert not worker.healthy
            stop.cancel()
            await running

    on_virtual_time(work)


@pytest.mark.parametrize("options", [{"until": "done"}, {"retry_failed": -1}])
def test_options_that_mean_nothing(options: Any) -> None:
    """They are refused as the worker is made."""

    async def work() -> None:
        async with engine_client() as world:
            with pytest.raises(InvalidRequest):
                worker_of(world, FakeSQS(), MemoryLedger(), **options)

    on_virtual_time(work)
