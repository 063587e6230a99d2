"""start_stream: one caller with one request, or a stream of many, drawn as they are needed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest
from fake_batch import (
    HOSTS,
    FakeStartTask,
    Reports,
    arn_of,
    error_of,
    make_request,
    outcomes,
    rejecting,
    requests,
    with_batch,
)
from fake_transport import FakeTransport, fake_client
from virtual_time import run_in_virtual_time, until_virtual

import aioecs
from aioecs import CancelToken, InvalidRequest, Outcome, StartCancelled, StartResult, StartTaskRequest, Timeouts
from aioecs._batch.batch import session_of
from aioecs._calls.call_preparation import Preparer
from aioecs.testing import LocalECS


async def slowly(given: list[StartTaskRequest], seconds: float = 1.0) -> AsyncIterator[StartTaskRequest]:
    """Give one after the other, each after some time."""
    for request in given:
        await asyncio.sleep(seconds)
        yield request


async def at_once(given: list[StartTaskRequest]) -> AsyncIterator[StartTaskRequest]:
    """Give all of them, without ever waiting."""
    for request in given:
        yield request


# Drawing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "async generator", "slow async generator", "nothing"])
def test_any_iterable(kind: str) -> None:
    """In the order of the requests in a report; each once as they settle."""

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        asked = [] if kind == "nothing" else requests(30, 30)

        def given() -> Any:
            ways: dict[str, Callable[[], Any]] = {
                "tuple": lambda: tuple(asked),
                "generator": lambda: (request for request in asked),
                "async generator": lambda: at_once(asked),
                "slow async generator": lambda: slowly(asked),
            }
            return ways.get(kind, lambda: asked)()

        report = await session_of(batch).report(given())
        assert [start.container_instance for start in report.starts] == list(HOSTS[: len(asked)])
        starts = [start async for start in batch.start_tasks(given())]
        assert len({arn_of(start) for start in (*starts, *report.starts)}) == 2 * len(asked)
        assert received == []

    with_batch(work)


@pytest.mark.parametrize("is_async", [False, True])
def test_drawn_as_needed(is_async: bool) -> None:
    """What has been drawn and not been given out is bounded, however slow the consumer; nothing is drawn unasked."""
    drawn = itertools.count()

    def endless() -> Iterator[StartTaskRequest]:
        return (make_request(HOSTS[next(drawn) % 50]) for _ in itertools.repeat(None))

    async def endless_async() -> AsyncIterator[StartTaskRequest]:
        for request in endless():
            yield request

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        given = 0
        stream = batch.start_tasks(endless_async() if is_async else endless())
        assert next(drawn) == 0
        async with contextlib.aclosing(stream) as starts:
            async for _ in starts:
                given += 1
                if given % 100 == 0:
                    await asyncio.sleep(1)
                    assert next(drawn) <= given + 2 * 4 * 10 * 2 + given // 100 + 1
                if given == 1000:
                    break

    with_batch(work, max_in_flight=2)


@pytest.mark.parametrize("is_async", [False, True])
def test_requests_that_raise(is_async: bool) -> None:
    """Their error goes to the caller when what had begun has settled; what that came to is found behind it."""

    class Mine(Exception):
        """The caller's own."""

    async def given_async() -> AsyncIterator[StartTaskRequest]:
        for request in given():
            yield request

    def given() -> Iterator[StartTaskRequest]:
        yield from requests(25)
        try:
            raise KeyError("before")
        except KeyError:
            raise Mine from None

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, reported.gate.set)
        with pytest.raises(Mine) as caught:
            await session_of(batch).report(given_async() if is_async else given())
        truth = aioecs.find_start_error(caught.value)
        assert truth is not None
        assert [start.container_instance for start in truth.starts] == list(HOSTS[:25])
        assert set(outcomes(truth.starts)) <= {Outcome.STOPPED, Outcome.NOT_SENT}
        assert truth.reason == "the requests raised Mine"
        assert isinstance(truth.__context__, KeyError)
        assert caught.value.__cause__ is None

    with_batch(work, FakeStartTask(open_=False))


def test_starts_before_the_requests_raised_are_reported() -> None:
    """What had settled was given out, or is behind the error: no ARN is dropped."""

    async def given() -> AsyncIterator[StartTaskRequest]:
        for request in requests(10):
            yield request
        await asyncio.sleep(1)
        raise ValueError("mine")

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        with pytest.raises(ValueError, match="mine") as caught:
            await session_of(batch).report(given())
        truth = aioecs.find_start_error(caught.value)
        assert truth is not None
        assert outcomes(truth.starts) == {Outcome.STARTED: 10}
        got: list[StartResult] = []
        with pytest.raises(ValueError, match="mine") as caught:
            async for start in batch.start_tasks(given()):
                got.append(start)  # noqa: PERF401 it raises in the end
        assert len(got) == 10
        truth = aioecs.find_start_error(caught.value)
        assert truth is not None
        assert truth.starts == ()

    with_batch(work)


@pytest.mark.parametrize("is_async", [False, True])
def test_requests_that_are_cancelled_themselves(is_async: bool) -> None:
    """Their drawing ended with a CancelledError: that is no end of the requests, and is said."""

    async def given_async() -> AsyncIterator[StartTaskRequest]:
        yield make_request(HOSTS[0])
        await asyncio.sleep(1)
        raise asyncio.CancelledError("mine")

    def given() -> Iterator[StartTaskRequest]:
        yield make_request(HOSTS[0])
        raise asyncio.CancelledError("mine")

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        kind = aioecs.ClientStateError if is_async else asyncio.CancelledError
        with pytest.raises(kind) as caught:
            await session_of(batch).report(given_async() if is_async else given())
        truth = aioecs.find_start_error(caught.value)
        assert truth is not None
        assert len(truth.starts) == 1

    with_batch(work)


@pytest.mark.parametrize(
    "broken",
    [
        make_request(),
        make_request(HOSTS[0], task_definition=""),
        make_request(*HOSTS[:12], tags=[aioecs.Tag(key="aws:mine")]),
        make_request(5),  # type: ignore[arg-type]
        aioecs.StartTaskRequest(task_definition="demo", container_instances="i-1"),
    ],
    ids=["no instances", "no definition", "a tag", "a number", "a string"],
)
def test_an_invalid_request_fails_no_other(broken: StartTaskRequest) -> None:
    """It is yielded as NOT_SENT with its error, once per instance, in its place."""

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        report = await session_of(batch).report([make_request(HOSTS[0]), broken, make_request(HOSTS[1])])
        held = broken.container_instances
        count = max(1, len(held)) if isinstance(held, tuple) else 1
        assert [start.outcome for start in report.starts] == [
            Outcome.STARTED,
            *[Outcome.NOT_SENT] * count,
            Outcome.STARTED,
        ]
        reported_of = report.starts[1 : 1 + count]
        assert all(isinstance(start.error, InvalidRequest) and start.request is broken for start in reported_of)
        assert report.statistics.requested == len(report.starts)
        with pytest.raises(ExceptionGroup) as group:
            report.raise_for_failures()
        assert group.group_contains(InvalidRequest)

    with_batch(work)


@pytest.mark.parametrize("given", [{"taskDefinition": "demo"}, None])
def test_what_is_no_request_at_all(given: Any) -> None:
    """There is no start to report it by: it is an error of the requests."""

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        with pytest.raises(InvalidRequest, match="a StartTaskRequest"):
            await session_of(batch).report([given])
        assert transport.requests == []

    with_batch(work)


def test_a_key_function_that_raises() -> None:
    """Its error is the requests' own."""

    async def run() -> None:
        transport = FakeTransport(start_task=FakeStartTask())
        async with fake_client(transport, pacing=None) as client:
            with pytest.raises(ZeroDivisionError) as caught:
                await client.start_tasks(requests(3), idempotency_key=lambda _: str(1 // 0))
            assert aioecs.find_start_error(caught.value) is not None
        assert transport.requests == []

    run_in_virtual_time(run())


def test_a_large_request_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its groups are made by tens; the rules apply to it as a whole."""

    async def run() -> None:
        transport = FakeTransport(start_task=FakeStartTask())
        checks = 0
        check = Preparer.check

        def counted(self: Preparer, request: StartTaskRequest, *, any_number: bool = False) -> None:
            nonlocal checks
            checks += 1
            check(self, request, any_number=any_number)

        monkeypatch.setattr(Preparer, "check", counted)
        async with fake_client(transport, pacing=None) as client, client.batch() as batch:
            report = await session_of(batch).report([make_request(*HOSTS)])
        assert checks == 1
        assert outcomes(report.starts) == {Outcome.STARTED: len(HOSTS)}

    run_in_virtual_time(run())


def test_a_request_that_only_resembles_the_last_one_is_checked() -> None:
    """Requests that share their values are checked as far as they differ: a broken rule is still reported."""

    async def run() -> None:
        transport = FakeTransport(start_task=FakeStartTask())
        good = make_request(HOSTS[0], enable_execute_command=True)
        wrong: list[Any] = [
            good.replace(container_instances=["not one"]),
            good.replace(container_instances=[17]),
            good.replace(container_instances=[]),
            good.replace(container_instances=[HOSTS[0].replace("default", "other")]),
            good.replace(enable_execute_command=1),
            good.replace(task_definition=""),
        ]
        given = [each for one in wrong for each in (good, one)]
        async with fake_client(transport, pacing=None) as client:
            report = await client.start_tasks(given)
        assert [type(start.error) for start in report.starts] == [type(None), InvalidRequest] * len(wrong)
        assert [start.outcome for start in report.not_sent] == [Outcome.NOT_SENT] * len(wrong)

    run_in_virtual_time(run())


def test_the_loop_is_not_held_by_slow_requests() -> None:
    """An iterable that takes its time is drawn a millisecond at a time."""

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        loop = asyncio.get_running_loop()
        seen: list[int] = []
        rounds = 0

        def given() -> Iterator[StartTaskRequest]:
            for request in requests(20):
                loop.advance(0.01)  # type: ignore[attr-defined]
                seen.append(rounds)
                yield request

        def count() -> None:
            nonlocal rounds
            rounds += 1
            if len(seen) < 20:
                loop.call_soon(count)

        count()
        await session_of(batch).report(given())
        assert len(set(seen)) == 20

    with_batch(work)


# Ends ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["token", "scope", "native", "break", "close"])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_endless_stream_can_be_left(by: str, is_async: bool) -> None:
    """Drawing ends, queued starts are not sent, those in flight are stopped, and nothing is sent afterwards."""
    never = asyncio.Event()

    async def waits_for_ever() -> AsyncIterator[StartTaskRequest]:
        for request in requests(40):
            yield request
        await never.wait()

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        reported.gate.set()
        token, scope = CancelToken(), anyio.CancelScope()
        source: Any = {"token": token, "scope": scope}.get(by)
        given = waits_for_ever() if is_async else (make_request(HOSTS[at % 50]) for at in itertools.count())
        got: list[StartResult] = []

        async def consume() -> None:
            async with contextlib.aclosing(batch.start_tasks(given, source)) as starts:
                async for start in starts:
                    got.append(start)
                    if len(got) == 10:
                        reported.gate.clear()
                        if by in ("break", "close"):
                            break
                        if not is_async:
                            await until_virtual(lambda: batch.statistics().in_flight == 2)

        task = asyncio.ensure_future(consume())
        await until_virtual(lambda: len(got) >= 10)
        await asyncio.sleep(0.1)
        token.cancel()
        scope.cancel()
        if by == "native":
            task.cancel()
        asyncio.get_running_loop().call_later(1, reported.gate.set)
        await asyncio.wait([task])
        sends = len([name for name, _ in transport.requests if name == "StartTask"])
        truth = aioecs.find_start_error(await error_of(task))
        await asyncio.sleep(5)
        now = batch.statistics()
        assert (now.queued, now.in_flight) == (0, 0)
        assert sends == len([name for name, _ in transport.requests if name == "StartTask"])
        named = {arn_of(start) for start in got if start.task is not None}
        named |= {each.task_arn or "" for each in truth.tasks} if truth is not None else set()
        named |= {arn_of(start) for starts, _ in received for start in starts if start.task is not None}
        assert len(named) == now.started + now.stopped, "every ARN was reported to somebody"
        assert task.cancelled() is (by == "native")

    with_batch(work, max_in_flight=2)


def test_break_gives_up_the_others() -> None:
    """Without `aclosing` too: the iterator is dropped, and its starts are withdrawn."""

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        async for start in batch.start_tasks(requests(100)):
            assert start.outcome is Outcome.STARTED
            break
        await asyncio.sleep(1)
        now = batch.statistics()
        assert (now.queued, now.in_flight, now.requested) == (0, 0, now.started + now.stopped + now.not_sent)
        assert now.started + now.stopped == 1 + sum(
            start.task is not None for starts, _ in received for start in starts
        )

    with_batch(work, max_in_flight=1)


def test_a_cancel_while_it_ends_early() -> None:
    """An error that meets all has stopped the drawing; a token that fires then still bounds the wait."""

    async def reported(request: StartTaskRequest, sent_marker: Any) -> Any:
        if HOSTS[0] in request.container_instances:
            return await rejecting("AccessDeniedException")(request, sent_marker)
        return await held(request, sent_marker)

    held = FakeStartTask(open_=False)

    async def work(batch: aioecs.Batch, _: Any, transport: FakeTransport, received: Reports) -> None:
        token = CancelToken()
        loop = asyncio.get_running_loop()
        began = loop.time()
        loop.call_later(1, token.cancel)
        with pytest.raises(StartCancelled) as caught:
            await session_of(batch).report(requests(20, 20), token)
        assert loop.time() - began == pytest.approx(3)
        assert outcomes(caught.value.starts) == {Outcome.REFUSED: 10, Outcome.UNKNOWN: 10}
        held.gate.set()

    with_batch(work, reported, timeouts=Timeouts(settle=2))


@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_a_second_cancel_ends_the_wait(seconds: float) -> None:
    """The first CancelledError goes on; what was not known then is UNKNOWN, and reported later."""

    async def work(batch: aioecs.Batch, reported: FakeStartTask, transport: FakeTransport, received: Reports) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(session_of(batch).report(requests(20, 20)))
        await until_virtual(lambda: reported.begun == 2)
        began = loop.time()
        task.cancel("first")
        loop.call_later(seconds, task.cancel, "second")
        error = await error_of(task)
        assert str(error) == "first"
        truth = aioecs.find_start_error(error)
        assert truth is not None
        assert outcomes(truth.starts) == {Outcome.UNKNOWN: 20}
        assert loop.time() - began == pytest.approx(min(seconds, 2), abs=0.01)
        reported.gate.set()
        await asyncio.sleep(1)
        assert outcomes(start for starts, _ in received for start in starts) == {Outcome.STOPPED: 20}

    with_batch(work, FakeStartTask(open_=False), timeouts=Timeouts(settle=2))


def test_the_end_of_the_client_ends_a_stream() -> None:
    """A stream that another task still draws from says so, and leaves nobody waiting."""

    async def run() -> None:
        transport = FakeTransport(start_task=FakeStartTask())
        async with fake_client(transport, pacing=None, timeouts=Timeouts(drain=1, settle=1)) as client:
            batch = await client.batch().__aenter__()
            task = asyncio.ensure_future(session_of(batch).report(slowly(requests(100))))
            await asyncio.sleep(3.5)
        with pytest.raises(aioecs.ClientStateError) as caught:
            await task
        truth = aioecs.find_start_error(caught.value)
        assert truth is not None
        assert 3 <= len(truth.starts) <= 5
        assert set(outcomes(truth.starts)) == {Outcome.STARTED}

    run_in_virtual_time(run())


# One caller ----------------------------------------------------------------------------------------------------------


# On real sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expired", [False, True])
async def test_ended_early_on_real_sockets(expired: bool) -> None:
    """Without permission, or with credentials that have expired, a few calls are made and the rest is not sent."""
    ecs: dict[str, Any] = {"expired_keys": ["local"]} if expired else {"denied": ["StartTask"]}
    async with LocalECS(instances=3, **ecs) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "pacing": None}
        given = [make_request(local.instance_arns[at % 3]) for at in range(500)]
        async with aioecs.Client(**access, max_in_flight=2) as client:
            report = await client.start_tasks(given)
        assert local.truth.requests["StartTask"] <= 3
        assert len(report.starts) == report.statistics.requested == 500
        assert set(outcomes(report.starts)) == {Outcome.REFUSED, Outcome.NOT_SENT}


async def test_a_slow_stream_on_real_sockets() -> None:
    """Starts are given out as they settle, while more are still to come."""
    async with LocalECS(instances=3) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "pacing": None}
        more = asyncio.Event()

        async def given() -> AsyncIterator[StartTaskRequest]:
            for host in local.instance_arns:
                yield make_request(host)
                await more.wait()
                more.clear()

        got: list[StartResult] = []
        async with aioecs.Client(**access) as client, client.batch() as batch:
            async for start in batch.start_tasks(given()):
                got.append(start)
                more.set()
        assert [start.container_instance for start in got] == local.instance_arns
        assert {arn_of(start) for start in got} == {task.arn for task in local.truth.running()}
