"""pending_request: one caller's request, answered when all of its starts have settled."""

from __future__ import annotations

import asyncio

import pytest
from fake_batch import (
    HOSTS,
    FakeStartTask,
    Reports,
    error_of,
    make_request,
    outcomes,
    with_batch,
)
from fake_transport import FakeTransport, fake_client
from virtual_time import iterations, run_in_virtual_time, until_virtual

import aioecs
from aioecs import CancelToken, Outcome, StartCancelled
from aioecs._runtime.concurrency import Priority


def test_a_caller_of_many_instances_waits_for_all() -> None:
    """Its result covers all calls that carried its starts, withdrawn in part or not."""

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        token = CancelToken()
        task = asyncio.ensure_future(batch.start_task(make_request(*HOSTS[:25]), token))
        await until_virtual(lambda: reported.begun == 2)
        token.cancel("enough")
        reported.gate.set()
        await asyncio.wait([task])
        error = task.exception()
        assert isinstance(error, StartCancelled)
        assert [start.container_instance for start in error.starts] == list(HOSTS[:25])
        assert outcomes(error.starts) == {Outcome.STOPPED: 20, Outcome.NOT_SENT: 5}

    with_batch(work, FakeStartTask(open_=False), max_in_flight=2)


@pytest.mark.parametrize("landed", [False, True])
def test_a_closed_coroutine_is_noticed(landed: bool) -> None:
    """Its caller is gone without a cancel: what it was not given is withdrawn, and what it came to is reported."""

    async def work(batch: aioecs.Batch, reports: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        pending = batch.start_task(make_request(HOSTS[0]))
        pending.send(None)
        await until_virtual(lambda: reports.begun == 1)
        if landed:
            reports.gate.set()
            await iterations(10)
        pending.close()
        reports.gate.set()
        await asyncio.sleep(1)
        assert [start.outcome for starts, _ in received for start in starts] == [Outcome.STOPPED]

    with_batch(work, FakeStartTask(open_=False))


def test_a_cancel_at_the_end_is_noticed() -> None:
    """All has settled when its caller is cancelled, which takes what started along: a caller's cancel wins."""

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        task = asyncio.ensure_future(batch.start_task(make_request(HOSTS[0])))
        await until_virtual(lambda: reported.begun == 1)
        reported.gate.set()
        while batch.statistics().started == 0:
            await asyncio.sleep(0)
        task.cancel()
        error = await error_of(task)
        truth = aioecs.find_start_error(error)
        assert truth is not None
        assert len(truth.tasks) == 1
        assert truth.outcome is Outcome.STOPPED
        assert [start.outcome for starts, _ in received for start in starts] in ([], [Outcome.STOPPED])

    with_batch(work, FakeStartTask(open_=False))


def test_a_cancel_that_abandons_waits_for_what_can_be_cut() -> None:
    """Nothing of it is on the wire, so what it came to is known at once: NOT_SENT."""

    async def run() -> None:
        reported = FakeStartTask()
        transport = FakeTransport(start_task=reported)
        async with fake_client(transport, pacing=None, max_in_flight=1, on_cancel="abandon") as client:
            core = client._opened
            assert core is not None
            await core.concurrency.take(Priority.READ)
            async with client.batch() as batch:
                token = CancelToken()
                task = asyncio.ensure_future(batch.start_task(make_request(HOSTS[0]), token))
                await until_virtual(lambda: batch.statistics().in_flight == 1)
                token.cancel()
                await asyncio.wait([task])
                error = task.exception()
                assert isinstance(error, StartCancelled)
                assert error.outcome is Outcome.NOT_SENT
            core.concurrency.release()
        assert transport.requests == []

    run_in_virtual_time(run())
