"""task_events: whatever comes from the queue, the client is fed and each ended task is handed over once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from engine_transport import EngineSetup, engine_client
from fake_sqs import URL, FakeSQS, StoredMessage, sqs_error
from virtual_time import run_in_virtual_time

from aioecs import CancelToken, TaskResult
from aioecs.errors import ClientStateError, InvalidRequest
from aioecs.worker import MemoryLedger, QueueError, TaskEvents, _task_events
from aioecs.worker._ledgers.claims import LOOKUP_LIMIT


def receiver(world: EngineSetup, sqs: FakeSQS, on_result: Any = None, **more: Any) -> TaskEvents:
    """Return one that receives from a queue in memory."""
    options: dict[str, Any] = {"session": cast("Any", sqs), "region_name": "us-east-1", "long_poll": 1, **more}
    return TaskEvents(world.client, URL, on_result, **options)


async def until_empty(sqs: FakeSQS, events: TaskEvents) -> Any:
    """Run until the queue is empty."""
    stop = CancelToken()
    running = asyncio.create_task(events.run(stop))
    while sqs.messages and not running.done():
        await asyncio.sleep(1)
    stop.cancel()
    return await running


def put(sqs: FakeSQS, event: Any) -> None:
    sqs.messages[f"m{len(sqs.messages)}-{random.random()}"] = StoredMessage(
        event if isinstance(event, str) else json.dumps(event)
    )


def in_sns(event: Any) -> Any:
    return {"Type": "Notification", "Message": json.dumps(event)}


def test_results_once_each() -> None:
    """Of 200 tasks: shuffled, repeated, in SNS or not, with a function that fails now and then, and two receivers."""
    rng = random.Random(3)
    handed: Counter[str] = Counter()
    failed: Counter[str] = Counter()

    async def on_result(result: TaskResult) -> None:
        await asyncio.sleep(rng.random())
        if rng.random() < 0.2:
            failed[result.task.arn] += 1
            raise RuntimeError("not now")
        handed[result.task.arn] += 1
        assert result.succeeded is (result.exit_code == 0)

    async def work() -> None:
        async with engine_client(running_seconds=1.0, exit_code=lambda task: task.seq % 2) as world:
            published: list[Any] = []
            world.transport.engine.listen(published.append)
            arns = world.transport.start(200)
            await asyncio.sleep(5)
            world.transport.engine.advance()
            events = [in_sns(event) if rng.random() < 0.5 else event for event in published * 2]
            rng.shuffle(events)
            sqs, ledger = FakeSQS(), MemoryLedger()
            for event in events:
                put(sqs, event)
            both = [receiver(world, sqs, on_result, ledger=ledger) for _ in range(2)]
            counts = await asyncio.gather(*(until_empty(sqs, each) for each in both))
            assert handed == Counter(arns)
            assert sum(each.results for each in counts) == 200
            assert sum(each.failed for each in counts) == sum(failed.values()) > 0
            assert sum(each.foreign for each in counts) == 0
            # A process that begins anew with the same ledger hands nothing over again.
            put(sqs, events[0])
            for event in published[-3:]:
                put(sqs, event)
            await until_empty(sqs, receiver(world, sqs, on_result, ledger=ledger))
            assert handed == Counter(arns)

    run_in_virtual_time(work())


def test_a_wait_ends_by_an_event() -> None:
    """Without a function the client alone is fed; other events are deleted."""

    async def work() -> None:
        async with engine_client(running_seconds=5.0) as world:
            published: list[Any] = []
            arns = world.transport.start()
            waiting = asyncio.create_task(world.client.wait_until_stopped(arns, timeout=600))
            await asyncio.sleep(4)
            world.transport.engine.listen(published.append)
            world.transport.engine.end_task(arns[0])
            sqs = FakeSQS(*[json.dumps(event) for event in published])
            put(sqs, {"detail-type": "ECS Container Instance State Change", "detail": {}})
            counts = await until_empty(sqs, receiver(world, sqs))
            await waiting
            assert (counts.received, counts.fed, counts.results) == (3, 2, 0)

    run_in_virtual_time(work())


def test_the_result_of_a_receiver_that_died_long_ago_is_handed_over() -> None:
    """However old its entry in the ledger is: nothing has to be looked up for it."""
    handed: list[str] = []
    stuck = asyncio.Event()

    async def dies(_: TaskResult) -> None:
        stuck.set()
        await asyncio.sleep(10**6)

    async def work() -> None:
        async with engine_client(running_seconds=5.0) as world:
            published: list[Any] = []
            world.transport.engine.listen(published.append)
            [arn] = world.transport.start()
            await asyncio.sleep(10)
            world.transport.engine.advance()
            sqs, ledger = FakeSQS(json.dumps(published[-1])), MemoryLedger()
            with pytest.MonkeyPatch.context() as patch:
                loop = asyncio.get_running_loop()
                patch.setattr(time, "time", loop.time)
                dead = asyncio.create_task(receiver(world, sqs, dies, ledger=ledger).run())
                await stuck.wait()
                # As SIGKILL leaves it: nothing is released.
                patch.setattr(ledger, "release", AsyncMock(return_value=False))
                dead.cancel()
                await asyncio.wait([dead])
                patch.undo()
                patch.setattr(time, "time", loop.time)
                await asyncio.sleep(LOOKUP_LIMIT + 100)
                counts = await until_empty(
                    sqs, receiver(world, sqs, lambda result: handed.append(result.task.arn), ledger=ledger)
                )
            assert (counts.results, handed) == (1, [arn])

    run_in_virtual_time(work())


def test_foreign_messages_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the redrive policy, after growing delays; what comes with them is handled."""
    # None is received just as it ends, which would be returned and not read.
    monkeypatch.setattr(_task_events, "random", SimpleNamespace(random=lambda: 0.5))

    async def work() -> None:
        async with engine_client() as world:
            sqs = FakeSQS("no event", json.dumps({"detail-type": "ECS Task State Change", "detail": {}}))
            events = receiver(world, sqs)
            stop = CancelToken()
            asyncio.get_running_loop().call_later(30, stop.cancel)
            counts = await events.run(stop)
            assert len(sqs.messages) == 2
            assert counts.foreign == counts.received >= 4
            assert events.statistics() == counts
            assert "not running" in repr(events)

    run_in_virtual_time(work())


def test_a_queue_that_fails() -> None:
    """It is tried again; an error that no later attempt avoids ends it."""

    async def work() -> None:
        async with engine_client() as world:
            sqs = FakeSQS(receive_message=[sqs_error("InternalError"), sqs_error("AccessDenied")])
            with pytest.raises(QueueError) as raised:
                await receiver(world, sqs).run()
            assert raised.value.permanent
            for wrong in ({"concurrency": 0}, {"on_result": "print"}, {"ledger": MemoryLedger}, {"container": ""}):
                with pytest.raises(InvalidRequest, match=f"^{next(iter(wrong))}"):
                    receiver(world, sqs, **wrong)

    run_in_virtual_time(work())


@pytest.mark.parametrize("unexpected", [False, True])
def test_an_idle_receiver_waits(unexpected: bool) -> None:
    """Without a long poll, or against an endpoint that answers with something else at once."""

    async def work() -> None:
        async with engine_client() as world:
            sqs = FakeSQS(receive_message=[0.001] * 10_000)
            sqs.unexpected_answer = unexpected
            stop = CancelToken()
            asyncio.get_running_loop().call_later(60, stop.cancel)
            await receiver(world, sqs, long_poll=0).run(stop)
            assert 50 < sqs.count_requests("receive_message") < 80

    run_in_virtual_time(work())


@pytest.mark.parametrize("how", ["token", "cancel"])
def test_the_end_while_all_slots_are_taken(how: str) -> None:
    """What is being handled is waited for, `drain` seconds at most; the others are returned at once, and not begun."""
    begun: list[str] = []

    async def slow(result: TaskResult) -> None:
        begun.append(result.task.arn)
        await asyncio.sleep(100)

    async def work() -> None:
        async with engine_client(running_seconds=1.0) as world:
            published: list[Any] = []
            world.transport.engine.listen(published.append)
            world.transport.start(5)
            await asyncio.sleep(5)
            world.transport.engine.advance()
            stopped = [json.dumps(each) for each in published if each["detail"]["lastStatus"] == "STOPPED"]
            sqs, stop, loop = FakeSQS(*stopped), CancelToken(), asyncio.get_running_loop()
            events = receiver(world, sqs, slow, concurrency=1, drain=3)
            running = asyncio.create_task(events.run(stop))
            await asyncio.sleep(10)
            began = loop.time()
            stop.cancel() if how == "token" else running.cancel()
            await asyncio.wait([running])
            assert 2.9 < loop.time() - began < 5
            assert running.cancelled() is (how == "cancel")
            assert (len(stopped), len(begun), sqs.count()) == (5, 1, (5, 0))

    run_in_virtual_time(work())


def test_a_client_that_is_closed() -> None:
    """It ends with the reason: no event is received for nothing."""

    async def work() -> None:
        async with engine_client(running_seconds=1.0) as world:
            sqs = FakeSQS()
            running = asyncio.create_task(receiver(world, sqs, lambda _: None, long_poll=20).run())
            await asyncio.sleep(3)
            await world.client.aclose()
            put(sqs, {"source": "aws.ecs"})
            with pytest.raises(ClientStateError, match="the client was closed while its receiver of task events ran"):
                async with asyncio.timeout(5):
                    await running
            (message,) = sqs.messages.values()
            assert message.receives <= 1

    run_in_virtual_time(work())
