"""batch_session: how a batch is opened, drained, cancelled and reported on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anyio
import attrs
import pytest
from fake_batch import (
    CANCELS,
    HOSTS,
    FakeStartTask,
    cancel_scope_of,
    cancel_task,
    cancel_token,
    make_request,
    outcomes,
    requests,
    sent,
    with_client,
)
from fake_transport import FakeTransport, fake_client
from virtual_time import iterations, until_virtual

import aioecs
from aioecs import CancelToken, ClientStateError, Outcome, StartCancelled, Timeouts
from aioecs._batch.batch import session_of


def test_not_open_closed_entered_twice() -> None:
    """A batch is used inside its block, once; before, after and beside it nothing is sent."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        batch = client.batch()
        for state in ("not entered", "closed"):
            assert repr(batch).startswith(f"<aioecs.Batch {state}, ")
            with pytest.raises(ClientStateError, match=state):
                await batch.start_task(make_request(HOSTS[0]))
            with pytest.raises(ClientStateError, match=state):
                await anext(batch.start_tasks([]))
            with pytest.raises(ClientStateError, match=state):
                await session_of(batch).report([])
            if state == "not entered":
                async with batch:
                    with pytest.raises(ClientStateError, match="open"):
                        await batch.__aenter__()
        with pytest.raises(ClientStateError, match="closed"):
            await batch.__aenter__()
        assert transport.requests == []

    with_client(work)


async def test_of_a_client_that_was_left() -> None:
    """A batch outlives its client's block: it says so, and nothing is sent."""
    transport = FakeTransport(start_task=FakeStartTask())
    async with fake_client(transport, pacing=None) as client:
        batch = client.batch()
        await batch.__aenter__()
    with pytest.raises(ClientStateError, match="closed"):
        await batch.start_task(make_request(HOSTS[0]))
    await batch.__aexit__(None, None, None)
    assert transport.requests == []


def test_leaving_the_block_drains_it() -> None:
    """A caller that still waits gets its result in the end."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        async with client.batch() as batch:
            tasks = [asyncio.ensure_future(batch.start_task(request)) for request in requests(30)]
            asyncio.get_running_loop().call_later(20, reported.gate.set)
            if " 0 queued" in repr(batch):  # with eager tasks they are queued already
                await iterations(1)
            assert "30 queued, 0 calls in flight, nothing settled" in repr(batch)
            await asyncio.sleep(1)
            assert "0 queued, 3 calls in flight, nothing settled, 0 throttled" in repr(batch)
            assert batch.statistics() == attrs.evolve(batch.statistics(), requested=30, in_flight=3)
        assert batch.statistics().started == 30
        assert "30 started" in repr(batch)
        await iterations(2)
        assert all(task.done() for task in tasks)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            batch.statistics().started = 1  # type: ignore[misc]

    with_client(work, FakeStartTask(open_=False))


def test_leaving_within_a_deadline() -> None:
    """Queued starts are not sent; calls in flight go on in the background and their tasks are left running."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with client.batch(drain=3) as batch:
            tasks = [asyncio.ensure_future(batch.start_task(request)) for request in requests(30)]
            await until_virtual(lambda: reported.begun == 2)
        assert loop.time() - began < 3.1
        reported.gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(end, aioecs.StartTaskResponse) for end in ends) == 20
        assert sum(isinstance(end, aioecs.ECSError) for end in ends) == 10
        assert len(transport.requests) == 2

    with_client(work, FakeStartTask(open_=False), max_in_flight=2)


@pytest.mark.parametrize(
    ("on_cancel", "stops", "outcome"),
    [("stop", 10, Outcome.STOPPED), ("keep", 0, Outcome.STARTED), ("abandon", 0, None)],
)
def test_an_exception_in_the_block_withdraws(on_cancel: Any, stops: int, outcome: Outcome | None) -> None:
    """By policy, and it waits for what that comes to, unless all is abandoned; the exception goes on."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        batch = client.batch(on_cancel=on_cancel)
        tasks: list[asyncio.Task[Any]] = []
        with pytest.raises(ValueError, match="mine"):
            async with batch:
                tasks += [asyncio.ensure_future(batch.start_task(request)) for request in requests(20)]
                await until_virtual(lambda: reported.begun == 1)
                asyncio.get_running_loop().call_later(1, reported.gate.set)
                raise ValueError("mine")
        now = batch.statistics()
        assert now.requested == 20
        assert now.not_sent == 10
        assert [name for name, _ in transport.requests].count("StopTask") == stops
        if outcome is None:
            assert now.in_flight == 1
        else:
            assert getattr(now, outcome.value) == 10
        reported.gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert batch.statistics().started + batch.statistics().stopped == 10
        answers = [end for end in ends if isinstance(end, aioecs.StartTaskResponse)]
        cancelled = [end for end in ends if isinstance(end, aioecs.StartCancelled)]
        assert len(answers) == 10 - stops, "a task that was stopped is in no answer"
        assert [start.outcome for end in cancelled for start in end.starts] == [Outcome.STOPPED] * stops

    with_client(work, FakeStartTask(open_=False), max_in_flight=1)


@pytest.mark.parametrize("where", ["in the block", "while draining"])
@pytest.mark.parametrize("cancels", [1, 2])
def test_a_cancel_of_the_block_settles(where: str, cancels: int) -> None:
    """The first CancelledError goes on, after what it left has settled; a second ends the wait, not the settling."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        batch = client.batch()
        loop = asyncio.get_running_loop()

        async def block() -> None:
            async with batch:
                others.append(asyncio.ensure_future(batch.start_task(make_request(HOSTS[0]))))
                await asyncio.sleep(1000 if where == "in the block" else 0)

        others: list[asyncio.Task[Any]] = []
        task = asyncio.ensure_future(block())
        await until_virtual(lambda: reported.begun == 1)
        for at in range(cancels):
            loop.call_later(at + 1, task.cancel, f"cancel {at}")
        loop.call_later(5, reported.gate.set)
        began = loop.time()
        with pytest.raises(asyncio.CancelledError, match="cancel 0"):
            await task
        assert loop.time() - began == pytest.approx(5 if cancels == 1 else 2, abs=0.1)
        await asyncio.wait(others)
        assert batch.statistics().stopped == 1

    with_client(work, FakeStartTask(open_=False))


def test_a_second_cancel_does_not_hide_behind_an_error() -> None:
    """An error in the block, and then a cancel while it settles: the cancel is raised."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        async def block() -> None:
            async with client.batch() as batch:
                others.append(asyncio.ensure_future(batch.start_task(make_request(HOSTS[0]))))
                await until_virtual(lambda: reported.begun == 1)
                raise ValueError("mine")

        others: list[asyncio.Task[Any]] = []
        task = asyncio.ensure_future(block())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        reported.gate.set()
        await asyncio.wait(others)

    with_client(work, FakeStartTask(open_=False))


@pytest.mark.parametrize("cancel", [*CANCELS, "around"])
def test_a_cancelled_report_has_its_starts_in_order(cancel: Any) -> None:
    """By the scope or token it is StartCancelled; natively it is the first CancelledError, with that as its cause."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        token, scope = CancelToken(), anyio.CancelScope()
        source: Any = {cancel_token: token, cancel_scope_of: scope, "around": scope}.get(cancel)
        truths: list[StartCancelled | None] = []

        async def ask() -> None:
            with scope if cancel == "around" else contextlib.nullcontext():
                try:
                    await client.start_tasks(requests(45), source)
                except asyncio.CancelledError as error:
                    truths.append(aioecs.find_start_error(error))
                    raise

        task = asyncio.ensure_future(ask())
        await until_virtual(lambda: reported.begun == 2)
        (cancel_scope_of if cancel == "around" else cancel)(token, scope, task)
        asyncio.get_running_loop().call_later(1, reported.gate.set)
        await asyncio.wait([task])
        if cancel in (cancel_token, cancel_scope_of):
            truth = task.exception()
        else:
            assert task.cancelled() is (cancel is cancel_task)
            (truth,) = truths
        assert isinstance(truth, StartCancelled)
        assert [start.container_instance for start in truth.starts] == list(HOSTS[:45])
        assert [start.outcome for start in truth.starts] == [Outcome.STOPPED] * 20 + [Outcome.NOT_SENT] * 25
        assert truth.source is (source if cancel in (cancel_token, cancel_scope_of) else None)
        assert len(sent(transport)) == 2

    with_client(work, FakeStartTask(open_=False), max_in_flight=2)


def test_a_cancelled_report_waits_no_longer_than_settle() -> None:
    """A start that has not settled then is reported as known; its end is reported later."""
    received: list[Any] = []

    async def work(client: aioecs.Client, reports: FakeStartTask, transport: FakeTransport) -> None:
        token = CancelToken()
        loop = asyncio.get_running_loop()
        async with client.batch() as batch:
            task = asyncio.ensure_future(session_of(batch).report(requests(10), token))
            await until_virtual(lambda: reports.begun == 1)
            began = loop.time()
            token.cancel()
            await asyncio.wait([task])
            error = task.exception()
            assert isinstance(error, StartCancelled)
            assert outcomes(error.starts) == {Outcome.UNKNOWN: 10}
            assert loop.time() - began == pytest.approx(2)
            reports.gate.set()
        assert [start.outcome for starts, _ in received for start in starts] == [Outcome.STOPPED] * 10

    with_client(
        work,
        FakeStartTask(open_=False),
        timeouts=Timeouts(settle=2),
        on_settled=lambda *reports: received.append(reports),
    )
