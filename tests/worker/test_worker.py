"""The worker, over moto's SQS and the local ECS."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from aiobotocore.session import AioSession
from botocore.retries.standard import ExponentialBackoff
from moto_queue import (
    SESSION,
    TIMEOUTS,
    QueueSetup,
    SkippedTime,
    moto_server,
    queue_setup,
    running,
    short_delays,
    until,
)
from raw_server import Exchange, RawServer

import aioecs
from aioecs.errors import ClientStateError, ConfigurationError, InvalidRequest
from aioecs.testing import Fault
from aioecs.worker import (
    DynamoDBLedger,
    Entry,
    LedgerError,
    MemoryLedger,
    Message,
    QueueError,
    SQLiteLedger,
    Worker,
    WorkerStatistics,
)
from aioecs.worker._ledgers.claims import LOOKUP_LIMIT, fingerprint
from aioecs.worker._settings import message_id
from aioecs.worker._sqs import receiver
from tests.worker.processes import work
from tests.worker.sqs.test_queue import a_body

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Run moto's server."""
    with moto_server() as url:
        yield url


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")


@pytest.fixture
async def world(moto: str, keys: None) -> AsyncIterator[QueueSetup]:
    """Open a world with nothing in its queue."""
    async with queue_setup(moto) as world:
        yield world


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let growing delays be short."""
    short_delays(monkeypatch)


@pytest.fixture
def skipped(monkeypatch: pytest.MonkeyPatch) -> SkippedTime:
    """Let the test set the time forward."""
    return SkippedTime(monkeypatch)


async def test_each_job_is_started_once(world: QueueSetup) -> None:
    """However often it was sent; the queue is empty then, and never more than `concurrency` were in flight."""
    most = 0

    def to_request(message: Message) -> aioecs.StartTaskRequest:
        nonlocal most
        most = max(most, worker.statistics().in_flight)
        return world.to_request(message)

    worker = world.worker(concurrency=12, to_request=to_request, long_poll=1)
    await world.send(*[f"job-{n}" for n in range(30)])
    async with running(worker):
        await until(lambda: worker.statistics().deleted == 30)
        await world.send(*[f"job-{n}" for n in range(30)])
        await until(lambda: worker.statistics().deleted == 60)
        assert "running, 0/12 in flight, 30 started, 0 adopted, 60 deleted" in repr(worker)
    assert world.groups() == sorted(f"job-{n}" for n in range(30))
    assert await world.count() == (0, 0)
    assert 0 < most <= 12
    found = worker.statistics()
    assert (found.started, found.already_settled, found.left, found.in_flight) == (30, 30, (), 0)
    assert "not running" in repr(worker)


async def test_its_counts_agree_at_any_time(world: QueueSetup) -> None:
    """What was received is in flight, deleted or returned: a message that is deleted is in flight no more."""
    await world.send(*[f"job-{n}" for n in range(20)])
    worker = world.worker()
    async with running(worker), asyncio.timeout(15):
        while (found := worker.statistics()).deleted < 20:
            assert found.received == found.in_flight + found.deleted + found.returned
            await asyncio.sleep(0)


async def test_by_default_a_job_is_its_message(world: QueueSetup) -> None:
    """Sent twice, it is two; before it runs a worker has done nothing."""
    worker = world.worker(key=message_id, long_poll=1)
    assert worker.statistics() == WorkerStatistics()
    assert "Worker not running, 0/100 in flight" in repr(worker)
    await world.send("job", "job")
    async with running(worker):
        await until(lambda: worker.statistics().deleted == 2)
    assert world.groups() == ["job", "job"]


async def test_a_poisoned_message_is_left_to_redrive(
    world: QueueSetup, at_once: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Its reason is logged by its type, never its body; what is well is started."""

    async def to_request(message: Message) -> aioecs.StartTaskRequest:
        if message.body == "secret-poison":
            raise ValueError(message.body)
        if message.body == "secret-template":
            return aioecs.StartTaskRequest(task_definition="")
        if message.body == "secret-unknown":
            return world.to_request(message).replace(task_definition="nobody:7")
        return world.to_request(message)

    await world.send("secret-poison", "well", "secret-template", "secret-unknown")
    worker = world.worker(to_request=to_request)
    async with running(worker):
        await until(lambda: worker.statistics().dead_lettered >= 3 and worker.statistics().deleted == 1)
    assert world.groups() == ["well"]
    assert sum(await world.count()) + sum(await world.count(world.dead_letters)) == 3
    assert "invalid: ValueError" in caplog.text
    assert "invalid: InvalidRequest" in caplog.text
    assert "refused: ClientException" in caplog.text
    assert "secret" not in caplog.text


async def test_missing_capacity_is_no_poison(moto: str, keys: None, at_once: None) -> None:
    """On its last receive a message that only waits is kept in flight, until there is capacity."""
    async with queue_setup(moto, receives=1, cpu=15) as world:
        first = await world.client.start_task(world.to_request(Message(id="m", body="first")))
        await world.send("second")
        worker = world.worker()
        async with running(worker):
            await until(lambda: len(world.local.truth.calls()) >= 4)
            assert worker.statistics().in_flight == 1
            assert worker.statistics().returned == 0
            (task,) = first.tasks
            await world.client.stop_task(aioecs.StopTaskRequest(task=task.task_arn or ""))
            await until(lambda: worker.statistics().deleted == 1)
        assert world.groups() == ["second"]
        assert await world.count(world.dead_letters) == (0, 0)


async def test_a_possible_double_is_kept_in_hand(world: QueueSetup, at_once: None) -> None:
    """As long as another has the job nobody knows whose task is one too many: its message stays until that is known."""
    ledger = MemoryLedger()
    lost = asyncio.Event()

    class Taken(MemoryLedger):
        """A ledger in which another has taken the job before it is settled."""

        claim = staticmethod(ledger.claim)
        renew = staticmethod(ledger.renew)
        release = staticmethod(ledger.release)

        async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
            entry = ledger._jobs.entries[key]
            ledger._jobs.entries[key] = attrs.evolve(entry, holder="other", lease=time.time() + 60)
            lost.set()
            return await ledger.settle(key, holder, arns)

    await world.send("job")
    worker = world.worker(ledger=Taken())
    async with running(worker):
        await asyncio.wait_for(lost.wait(), 15)
        await asyncio.sleep(0.3)
        assert world.groups() == ["job"]
        assert (worker.statistics().in_flight, worker.statistics().returned) == (1, 0)
        await ledger.settle("job", "other", ("arn:of-another",))
        await until(lambda: worker.statistics().deleted == 1)
    assert world.groups() == []


async def test_what_is_too_old_to_be_known_is_not_started(
    world: QueueSetup, at_once: None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported UNKNOWN, and left to the redrive policy."""
    ledger = MemoryLedger()
    old = time.time() - LOOKUP_LIMIT - 100
    intent = Entry(
        key="job", holder="dead", lease=old + 10, begun=old, instances=("i",),
        fingerprint=fingerprint("job", world.to_request(Message(id="m", body="job"))),
    )  # fmt: skip
    await ledger.claim(intent, now=old, skew=0)
    await world.send("job")
    worker = world.worker(ledger=ledger)
    async with running(worker):
        await until(lambda: worker.statistics().dead_lettered >= 1)
    assert worker.statistics().unknown >= 1
    assert "UNKNOWN whether it was started" in caplog.text
    assert world.local.truth.calls() == []
    assert sum(await world.count()) + sum(await world.count(world.dead_letters)) == 1


async def test_a_dead_worker_s_start_is_adopted(world: QueueSetup, at_once: None, skipped: SkippedTime) -> None:
    """It started, and died before it wrote that down: the next one finds the task by its token, and starts nothing."""
    ledger = MemoryLedger()
    dead = world.worker(ledger=ledger, lease=1.5, drain=0.1)
    await world.send("job", "job")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "settle", never)
        token = aioecs.CancelToken()
        run = asyncio.create_task(dead.run(token))
        await until(lambda: world.groups() == ["job"])
        token.cancel()
        await run
    assert dead.statistics().deleted == 0
    skipped.skip(10)  # past its lease
    worker = world.worker(ledger=ledger)
    async with running(worker):
        await until(lambda: worker.statistics().deleted == 2)
    assert world.groups() == ["job"]
    assert len(world.local.truth.calls()) == 1


async def never(*_: Any) -> bool:
    """Answer never."""
    await asyncio.Event().wait()
    return False


# Ending --------------------------------------------------------------------------------------------------------------


async def loaded(world: QueueSetup, **more: Any) -> Worker:
    """Return a worker that has much to do, slowly."""
    world.local.faults.add(Fault("delay", times=None, seconds=0.2))
    await world.send(*[f"job-{n}" for n in range(40)])
    return world.worker(concurrency=10, **more)


async def nothing_lost(world: QueueSetup, worker: Worker) -> None:
    """Compare the world with the worker's statistics: each message is deleted with its task, or visible."""
    visible, hidden = await world.count()
    assert hidden == 0
    assert visible == 40 - worker.statistics().deleted
    assert len(world.groups()) == len(set(world.groups())) == worker.statistics().started


@pytest.mark.parametrize("how", ["token", "scope", "cancel", "enclosing scope", "timeout"])
async def test_it_drains(world: QueueSetup, how: str) -> None:
    """Whatever ends it: what is on the wire is settled, the rest is visible, and a cancel goes on as itself."""
    worker = await loaded(world)
    token, scope, clock = aioecs.CancelToken(), anyio.CancelScope(), asyncio.timeout(None)
    sources: dict[str, aioecs.CancelToken | anyio.CancelScope] = {"token": token, "scope": scope}

    async def run() -> None:
        if how == "enclosing scope":
            with scope:
                await worker.run()
        elif how == "timeout":
            async with clock:
                await worker.run()
        else:
            await worker.run(sources.get(how))

    task = asyncio.create_task(run())
    await until(lambda: worker.statistics().started >= 3)
    began = time.monotonic()
    ends: dict[str, Callable[[], object]] = {
        "token": token.cancel,
        "cancel": task.cancel,
        "timeout": lambda: clock.reschedule(0),
    }
    ends.get(how, scope.cancel)()
    await asyncio.wait([task])
    assert time.monotonic() - began < 2 + 1
    assert task.cancelled() is (how == "cancel")
    assert isinstance(None if task.cancelled() else task.exception(), TimeoutError) is (how == "timeout")
    await nothing_lost(world, worker)


async def test_a_second_cancel_ends_the_draining(world: QueueSetup) -> None:
    """What hangs is returned, and the next worker looks it up."""
    world.local.faults.add(Fault("hang", times=None))
    await world.send("job")
    worker = world.worker(drain=30)
    task = asyncio.create_task(worker.run())
    await until(world.local.truth.calls)
    task.cancel()
    await asyncio.sleep(0.05)
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert time.monotonic() - began < 1
    assert len(worker.statistics().left) == 1


async def test_processes_that_are_killed_and_terminated(
    world: QueueSetup, skipped: SkippedTime, tmp_path: Path
) -> None:
    """SIGKILL in mid-start doubles and loses nothing; SIGTERM under load ends it in time with all messages visible."""
    local = world.local
    for kind in ("reset", "error"):
        local.faults.add(Fault(kind, when="after", times=None, chance=0.05))
    local.faults.add(Fault("delay", times=None, seconds=0.1))
    jobs = [f"job-{n}" for n in range(30)]
    await world.send(*jobs)
    context = multiprocessing.get_context("spawn")
    client = {**local.client_kwargs(), "timeouts": TIMEOUTS}
    given = (world.url, world.queue, client, local.instance_arns, str(tmp_path / "jobs.db"))
    crew = [context.Process(target=work, args=given, daemon=True) for _ in range(2)]
    try:
        for process in crew:
            process.start()
        await until(lambda: len(local.truth.calls()) > 6, 30)
        os.kill(crew[0].pid or 0, signal.SIGKILL)
        await until(lambda: len(local.truth.calls()) > 14)
        os.kill(crew[1].pid or 0, signal.SIGTERM)
        await asyncio.to_thread(crew[1].join, 20)
        assert crew[1].exitcode == 0
        # Its interpreter's own end takes as long as the machine is busy: the worker's is what is promised.
        assert float((tmp_path / "jobs.db.took").read_text()) < 2 + 1
        skipped.skip(10)  # what the killed one had is visible, and free to be taken over
        worker = world.worker(ledger=SQLiteLedger(tmp_path / "jobs.db"))
        async with running(worker):
            async with asyncio.timeout(40):
                while await world.count() != (0, 0):
                    await asyncio.sleep(0.1)
    finally:
        for process in crew:
            process.kill()
            process.join()
    assert world.groups() == sorted(jobs)
    assert await world.count(world.dead_letters) == (0, 0)


async def test_an_error_while_its_caller_is_cancelled(world: QueueSetup, caplog: pytest.LogCaptureFixture) -> None:
    """The cancel goes on as itself, and the error is logged."""

    class Unleavable(MemoryLedger):
        """A ledger that can't be closed."""

        async def __aexit__(self, *_: object) -> None:
            raise LedgerError("unplugged")

    worker = world.worker(ledger=Unleavable())
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert "the worker ended with an error while its caller was cancelled" in caplog.text
    assert "not running" in repr(worker)


# As people have it ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def only_the_client_has_credentials(
    moto: str, monkeypatch: pytest.MonkeyPatch, **access: Any
) -> AsyncIterator[tuple[QueueSetup, aioecs.Client]]:
    """Open a world and then forget all settings; one more client has keys and a Region of its own."""
    async with queue_setup(moto) as world:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        given: dict[str, Any] = {"aws_access_key_id": "canary-id", "aws_secret_access_key": "canary-secret", **access}
        async with aioecs.Client(
            "us-east-1", endpoint_url=world.local.endpoint_url, timeouts=TIMEOUTS, pacing=None, **given
        ) as client:
            yield world, client


@pytest.mark.parametrize("transport", ["auto", "botocore"])
async def test_queue_and_ledger_are_reached_as_ecs_is(
    moto: str, keys: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """With the client's keys and Region alone; at DEBUG no log has a body, an attribute, a key or a token."""
    table = uuid.uuid4().hex
    async with DynamoDBLedger(table, region_name="us-east-1", endpoint_url=moto, session=SESSION) as ledger:
        await ledger.create_table()
    caplog.set_level(logging.DEBUG)
    async with only_the_client_has_credentials(
        moto, monkeypatch, aws_session_token="canary-token", transport=transport
    ) as (world, client):
        attributes = {"a": {"DataType": "String", "StringValue": "canary-attribute"}}
        await world.sqs.send_message(QueueUrl=world.queue, MessageBody="canary-body", MessageAttributes=attributes)
        caplog.clear()
        worker = Worker(
            client,
            world.queue,
            lambda message: world.to_request(message).replace(group="g"),
            ledger=DynamoDBLedger(table, endpoint_url=moto),
            sqs_endpoint_url=moto,
            skew=0.1,
        )
        async with running(worker):
            await until(lambda: worker.statistics().deleted == 1)
    assert len(world.local.truth.calls()) == 1
    ours = [record for record in caplog.records if record.name != "werkzeug"]
    found = "\n".join(f"{record.getMessage()} {record.msg!r} {record.args!r}" for record in ours)
    for secret in ("body", "attribute", "secret", "token"):
        assert f"canary-{secret}" not in found


async def test_without_credentials_it_ends(moto: str, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With that error, and at once."""
    async with only_the_client_has_credentials(moto, monkeypatch) as (world, client):
        worker = Worker(
            client,
            world.queue,
            world.to_request,
            ledger=MemoryLedger(),
            sqs_endpoint_url=moto,
            session=AioSession(),
            region_name="us-east-1",
        )
        with pytest.raises(QueueError, match="receive_message: NoCredentialsError") as caught:
            await asyncio.wait_for(worker.run(), 15)
        assert caught.value.permanent


async def test_a_worker_and_its_ledger_may_be_run_twice(world: QueueSetup, tmp_path: Path) -> None:
    """Whatever was under way as the first run ended."""
    worker = world.worker(ledger=SQLiteLedger(tmp_path / "jobs.db"))
    for number in range(5):
        await world.send(f"job-{number}", "job-0")
        async with running(worker):
            await until(lambda: len(world.groups()) > number)  # noqa: B023 it is waited for here
    assert world.groups() == [f"job-{number}" for number in range(5)]


async def test_a_fifo_queue_keeps_its_order(world: QueueSetup) -> None:
    """Within each group, with its ids for `key`; groups go side by side."""
    name = f"{uuid.uuid4().hex}.fifo"
    made = await world.sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
    fifo = attrs.evolve(world, queue=made["QueueUrl"])
    sent = [(group, f"{group}-{number}") for number in range(6) for group in "xyz"]
    for group, job in sent:
        await world.sqs.send_message(
            QueueUrl=fifo.queue, MessageBody=job, MessageGroupId=group, MessageDeduplicationId=f"id-{job}"
        )
    world.local.faults.add(Fault("delay", times=None, seconds=0.02, chance=0.5))
    worker = fifo.worker(key=lambda message: f"{message.group_id}/{message.deduplication_id}")
    async with running(worker):
        await until(lambda: worker.statistics().deleted == len(sent))
    started = [task.group or "" for task in world.local.truth.tasks()]
    for group in "xyz":
        assert [each for each in started if each[0] == group] == [f"{group}-{number}" for number in range(6)]


async def test_no_answer_of_the_queue_ends_it(world: QueueSetup) -> None:
    """Two hundred bodies that are none of SQS, over real sockets; at a request to end it ends."""
    jitter = random.Random(11)

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(jitter.choice((200, 200, 400, 500)), a_body(jitter))

    # A patch of its own, which is undone before that of `world`.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receiver, "idle_delay", lambda *_: 0.0)
        patch.setattr(receiver, "growing_delay", lambda *_: 0.0)
        patch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
        async with RawServer(behave) as server:
            worker = world.worker(sqs_endpoint_url=server.url)
            token = aioecs.CancelToken()
            run = asyncio.create_task(worker.run(token))
            await until(lambda: run.done() or len(server.bodies) >= 250, 60)
            assert not run.done()
            token.cancel()
            await asyncio.wait_for(run, 5)


# What can't be -------------------------------------------------------------------------------------------------------


async def test_it_runs_once_at_a_time(world: QueueSetup) -> None:
    """A second run is refused; after the first it may run again."""
    worker = world.worker()
    async with running(worker):
        await asyncio.sleep(0)
        with pytest.raises(ClientStateError):
            await worker.run()
    token = aioecs.CancelToken()
    token.cancel()
    assert (await worker.run(token)).received == 0


async def test_a_queue_that_isn_t_there(world: QueueSetup) -> None:
    """It ends at once with that error."""
    worker = Worker(
        world.client, f"{world.queue}-not", world.to_request, ledger=MemoryLedger(), sqs_endpoint_url=world.url
    )
    with pytest.raises(ConfigurationError, match="there is no queue"):
        await worker.run()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("concurrency", 0), ("concurrency", True), ("visibility", 2), ("drain", -1), ("lease", 1.0), ("long_poll", 21),
        ("client", None), ("queue_url", ""), ("to_request", "demo"), ("key", "job"), ("ledger", MemoryLedger),
        ("ledger", "jobs.db"), ("delivery", "once"), ("container", 5), ("placement", "spread"), ("constraints", ["x"]),
    ],
)  # fmt: skip
async def test_a_setting_that_can_t_be(client: aioecs.Client, setting: str, value: Any) -> None:
    """It is named, before a message is received that would be dead-lettered for it."""
    settings: dict[str, Any] = {
        "client": client, "queue_url": "queue", "to_request": lambda _: None, "ledger": MemoryLedger(), setting: value
    }  # fmt: skip
    with pytest.raises(InvalidRequest, match=f"^{setting}"):
        Worker(**settings)
