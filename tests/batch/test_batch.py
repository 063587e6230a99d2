"""batch: many starts for many callers; each gets its own results, whoever else leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from fake_batch import (
    CANCELS,
    HOSTS,
    FakeStartTask,
    arn_of,
    cancel_scope_of,
    cancel_task,
    cancel_token,
    make_request,
    outcomes,
    rejecting,
    requests,
    sent,
    start_error_of,
    with_client,
)
from fake_transport import FakeTransport
from virtual_time import until_virtual

import aioecs
from aioecs import CancelToken, ClientStateError, InvalidRequest, Outcome, StartCancelled, StartTaskRequest, Timeouts
from aioecs._batch.batch import session_of
from aioecs._runtime.concurrency import Priority
from aioecs.testing import Fault, LocalECS

# Fanning out ---------------------------------------------------------------------------------------------------------


def test_a_thousand_equal_starts_make_a_hundred_calls() -> None:
    """In order, over fifty instances, with a thousand tasks; the statistics add up."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        asked = requests(1000)
        report = await client.start_tasks(asked)
        assert [instance for call in sent(transport) for instance in call] == [r.container_instances[0] for r in asked]
        assert {len(call) for call in sent(transport)} == {10}
        assert len({arn_of(start) for start in report.starts}) == 1000
        assert [start.container_instance for start in report.starts] == [r.container_instances[0] for r in asked]
        assert all(start.request is request for start, request in zip(report.starts, asked, strict=True))
        stats = report.statistics
        assert (stats.requested, stats.started, stats.calls, stats.in_flight, stats.queued) == (1000, 1000, 100, 0, 0)
        report.raise_for_failures()

    with_client(work)


def test_twenty_five_instances_make_three_calls() -> None:
    """A request may name any number of instances, one of them any number of times."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        instances = (*HOSTS[:20], *HOSTS[:5])
        report = await client.start_tasks([make_request(*instances)])
        assert sent(transport) == [instances[:10], instances[10:20], instances[20:]]
        assert [start.container_instance for start in report.starts] == list(instances)
        async with client.batch() as batch:
            response = await batch.start_task(make_request(*instances))
        assert [task.container_instance_arn for task in response.tasks] == list(instances)
        assert len(transport.requests) == 6

    with_client(work)


def test_a_refusal_fails_no_other() -> None:
    """It stands in the report in its place, and in what `raise_for_failures` raises."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        report = await client.start_tasks(requests(30, 30))
        assert outcomes(report.starts) == {Outcome.STARTED: 29, Outcome.REFUSED: 1}
        assert report.starts[7].failure == aioecs.Failure(arn=HOSTS[7], reason="RESOURCE:MEMORY")
        with pytest.raises(ExceptionGroup) as group:
            report.raise_for_failures()
        assert [type(error) for error in group.value.exceptions] == [aioecs.StartRefused]

    with_client(work, FakeStartTask(full=[HOSTS[7]]))


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ClusterNotFoundException", "ExpiredTokenException", "InvalidSignatureException"]
)
def test_an_error_that_meets_all_ends_it_early(code: str) -> None:
    """No more is drawn than had been; the rest is NOT_SENT, the error is said by those whom it met."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        report = await client.start_tasks(requests(1000))
        assert len(transport.requests) <= 2
        assert len(report.starts) == report.statistics.requested == 1000
        assert outcomes(report.starts)[Outcome.NOT_SENT] >= 980
        errors = {id(start.error): start.error for start in report.starts if start.error is not None}
        assert len(errors) == len(transport.requests)
        assert {error.code for error in errors.values() if isinstance(error, aioecs.ECSServiceError)} == {code}
        drawn: list[StartTaskRequest] = []

        def endlessly() -> Iterator[StartTaskRequest]:
            while True:
                drawn.append(make_request(HOSTS[0]))
                yield drawn[-1]

        report = await client.start_tasks(endlessly())
        assert len(report.starts) == len(drawn) <= 2000

    with_client(work, rejecting(code), max_in_flight=2)


def test_an_error_that_meets_one_fails_no_other() -> None:
    """A task definition that doesn't exist is refused with ECS's error; the other request starts."""

    async def reported(request: StartTaskRequest, sent_marker: Any) -> Any:
        return await (rejecting("ClientException") if request.task_definition == "none" else good)(request, sent_marker)

    good = FakeStartTask()

    async def work(client: aioecs.Client, _: Any, transport: FakeTransport) -> None:
        report = await client.start_tasks([make_request(HOSTS[0], task_definition="none"), make_request(HOSTS[0])])
        assert [start.outcome for start in report.starts] == [Outcome.REFUSED, Outcome.STARTED]
        assert isinstance(report.starts[0].error, aioecs.ClientException)

    with_client(work, reported)


# Joining -------------------------------------------------------------------------------------------------------------


def test_two_hundred_callers_make_twenty_calls() -> None:
    """Each gets its own task alone."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        async with client.batch() as batch:
            asked = requests(200, 200)
            responses = await asyncio.gather(*map(batch.start_task, asked))
        assert len(sent(transport)) == 20
        for request, response in zip(asked, responses, strict=True):
            named = [task.container_instance_arn for task in response.tasks] + [each.arn for each in response.failures]
            assert tuple(named) == request.container_instances
        assert sum(len(response.failures) for response in responses) == 2
        assert len({task.task_arn for response in responses for task in response.tasks}) == 198

    with_client(work, FakeStartTask(full=[HOSTS[7], HOSTS[117]]))


def test_a_caller_refused_with_others_gets_its_own_error() -> None:
    """An error of the call is each caller's, with its own starts alone."""

    async def work(client: aioecs.Client, reported: Any, transport: FakeTransport) -> None:
        async with client.batch() as batch:
            ends = await asyncio.gather(*map(batch.start_task, requests(10)), return_exceptions=True)
        assert len(sent(transport)) == 1
        assert len({id(end) for end in ends}) == 10
        for at, end in enumerate(ends):
            assert isinstance(end, aioecs.ClientException)
            assert [start.container_instance for start in end.starts] == [HOSTS[at]]

    with_client(work, rejecting("ClientException"))


@pytest.mark.parametrize("wire", [False, True], ids=["before the wire", "on the wire"])
@pytest.mark.parametrize("cancel", CANCELS)
def test_fifty_of_two_hundred_leave(cancel: Callable[..., None], wire: bool) -> None:
    """Before the wire they are taken out; on it only theirs are stopped; the other 150 are left alone."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        token, scope = CancelToken(), anyio.CancelScope()
        source = {cancel_token: token, cancel_scope_of: scope, cancel_task: None}[cancel]
        core = client._opened
        assert core is not None
        for _ in range(0 if wire else 25):
            await core.concurrency.take(Priority.READ)
        async with client.batch() as batch:
            asked = requests(199, 199)
            tasks = [
                asyncio.ensure_future(batch.start_task(request, source if at % 4 == 0 else None))
                for at, request in enumerate(asked)
            ]
            await until_virtual(lambda: batch.statistics().in_flight == 20)
            await until_virtual(lambda: reported.begun == (20 if wire else 0))
            for task in tasks[::4]:
                cancel(token, scope, task)
            await asyncio.sleep(0.02)
            for _ in range(0 if wire else 25):
                core.concurrency.release()
            reported.gate.set()
            await asyncio.wait(tasks)
        assert sum(map(len, sent(transport))) == (199 if wire else 149)
        stops = [request.task for name, request in transport.requests if name == "StopTask"]
        assert [task.cancelled() for task in tasks[::4]] == [cancel is cancel_task] * 50
        assert Counter(stops).total() == len(set(stops)) == (50 if wire else 0)
        for task in tasks[::4]:
            truth = task.exception() if not task.cancelled() else await start_error_of(task)
            assert isinstance(truth, StartCancelled)
            assert truth.outcome is (Outcome.STOPPED if wire else Outcome.NOT_SENT)
            assert {each.task_arn for each in truth.tasks} <= set(stops)
            assert truth.reason == ("enough" if cancel is cancel_token else None)
        others = [task.result() for at, task in enumerate(tasks) if at % 4]
        assert all(len(response.tasks) == 1 for response in others)

    with_client(work, FakeStartTask(open_=False), max_in_flight=25)


def test_abandoned_goes_at_once() -> None:
    """A start in flight is UNKNOWN to its caller, and `on_settled` gets its outcome later."""
    received: list[Any] = []

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        token = CancelToken()
        async with client.batch(on_cancel="abandon") as batch:
            task = asyncio.ensure_future(batch.start_task(make_request(HOSTS[0]), token))
            await until_virtual(lambda: reported.begun == 1)
            token.cancel()
            await asyncio.wait([task])
            error = task.exception()
            assert isinstance(error, StartCancelled)
            assert error.outcome is Outcome.UNKNOWN
            reported.gate.set()
        assert [start.outcome for starts, _ in received for start in starts] == [Outcome.STARTED]

    with_client(work, FakeStartTask(open_=False), on_settled=lambda *reported: received.append(reported))


@pytest.mark.parametrize("by", ["token", "native"])
def test_refused_before_it_begins(by: str) -> None:
    """A scope or token that has fired, or a cancel that has come, lets nothing begin."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        token = CancelToken()
        truth: StartCancelled | None = None
        async with client.batch() as batch:
            if by == "token":
                token.cancel("before")
                with pytest.raises(StartCancelled) as caught:
                    await batch.start_task(make_request(HOSTS[0]), token)
                truth = caught.value
                with pytest.raises(StartCancelled, match="not sent"):
                    await session_of(batch).report(requests(3), token)
                assert [start.outcome async for start in batch.start_tasks(requests(3), token)] == [
                    Outcome.NOT_SENT
                ] * 3
                assert [start async for start in batch.start_tasks(iter(requests(3)), token)] == []
                assert [start async for start in batch.start_tasks(endless(), token)] == []
            else:
                for ask in (
                    lambda: batch.start_task(make_request(HOSTS[0])),
                    lambda: session_of(batch).report(requests(3)),
                ):
                    with anyio.CancelScope() as scope:
                        scope.cancel()
                        try:
                            await ask()
                        except asyncio.CancelledError as error:
                            truth = aioecs.find_start_error(error)
                            raise
                    assert scope.cancelled_caught
            assert truth is not None
            assert truth.outcome in (None, Outcome.NOT_SENT)
        assert transport.requests == []

    async def endless() -> Any:
        while True:
            yield make_request(HOSTS[0])

    with_client(work)


# Keys ----------------------------------------------------------------------------------------------------------------


async def test_keys_travel_alone_and_never_start_twice() -> None:
    """On real sockets: each key has its call, equal ones at the same time or later have one task, and 25 have three."""
    async with LocalECS(instances=30) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "pacing": None}
        async with aioecs.Client(**access) as client, client.batch() as batch:
            one = make_request(local.instance_arns[0])
            both = await asyncio.gather(*[batch.start_task(one, idempotency_key="a") for _ in range(2)])
            again = await batch.start_task(one, idempotency_key="a")
            other = await batch.start_task(one, idempotency_key="b")
            arns = [response.tasks[0].task_arn for response in (*both, again, other)]
            assert len(set(arns)) == 2
            assert len(set(arns[:3])) == 1
            many = await batch.start_task(make_request(*local.instance_arns[:25]), idempotency_key="c")
            assert len(many.tasks) == 25
            with pytest.raises(aioecs.IdempotencyMismatch):
                await batch.start_task(make_request(local.instance_arns[1]), idempotency_key="a")
            keyed = client.start_tasks(
                [one, one, make_request(*local.instance_arns[:25])],
                idempotency_key=lambda r: f"k{len(r.container_instances)}",
            )
            report = await keyed
        assert outcomes(report.starts) == {Outcome.STARTED: 27}
        assert report.starts[0].task == report.starts[1].task
        assert len(local.truth.tasks()) == 2 + 25 + 1 + 25
        assert local.truth.duplicates() == []


def test_only_calls_with_equal_delivery_are_shared() -> None:
    """Two batches of different policies make two calls, though their starts are equal."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        async with client.batch(delivery="at_least_once") as one, client.batch() as other:
            await asyncio.gather(one.start_task(make_request(HOSTS[0])), other.start_task(make_request(HOSTS[0])))
        assert len(sent(transport)) == 2

    with_client(work)


# The block -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["request", "instances", "scope", "key"])
def test_what_is_not_a_request_is_refused_at_once(wrong: str) -> None:
    """Nothing is sent, and the error names the member."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        bad: Any = "not this"
        async with client.batch() as batch:
            with pytest.raises(InvalidRequest) as caught:
                match wrong:
                    case "request":
                        await batch.start_task(bad)
                    case "instances":
                        await batch.start_task(make_request())
                    case "scope":
                        await batch.start_task(make_request(HOSTS[0]), bad)
                    case _:
                        await batch.start_task(make_request(HOSTS[0], started_by="me"), idempotency_key="k")
            assert caught.value.path in ("request", "container_instances", "cancel_scope", "idempotency_key")
            with pytest.raises(InvalidRequest):
                batch.start_tasks([], bad)
        assert transport.requests == []

    with_client(work)


# A cancel of the report ----------------------------------------------------------------------------------------------


# Placing -------------------------------------------------------------------------------------------------------------


async def test_placed_as_they_settle() -> None:
    """A template and a count: a Start each; who breaks out withdraws the rest there and then."""
    async with LocalECS(instances=3) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "pacing": None}
        template = StartTaskRequest(task_definition="demo")
        async with aioecs.Client(**access, on_cancel="keep") as client, client.batch() as batch:
            starts = [start async for start in batch.place_tasks(template, count=6)]
            assert Counter(start.container_instance for start in starts) == dict.fromkeys(local.instance_arns, 2)
            async with contextlib.aclosing(batch.place_tasks(template, count=400)) as some:
                async for start in some:
                    assert start.outcome is Outcome.STARTED
                    break
            assert batch.statistics().queued == 0
            report = await client.place_tasks(template, count=6)
        assert len(report.started) == 6
        with pytest.raises(ClientStateError, match="closed"):
            await anext(batch.place_tasks(template, count=1))


# A lost answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivery", ["at_most_once", "at_least_once"])
async def test_a_lost_packed_call_is_looked_up_instance_by_instance(delivery: Any) -> None:
    """What runs is adopted, and only missing starts go on, or are UNKNOWN; each caller gets its own."""
    async with LocalECS(instances=10, faults=[Fault("reset", when="after")], visibility_lag=0.1) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "pacing": None}
        drained = local.instance_arns[3]  # whose start is refused, and no caller waits for it
        local.engine.call("UpdateContainerInstancesState", {"containerInstances": [drained], "status": "DRAINING"})
        async with (
            aioecs.Client(
                **access,
                timeouts=Timeouts(consistency=0.4, settle=2),
                retries=aioecs.Retries(initial_backoff=0.05, max_backoff=0.1),
            ) as client,
            client.batch(delivery=delivery) as batch,
        ):
            asks = [batch.start_task(make_request(host)) for host in local.instance_arns]
            ends = await asyncio.gather(*asks, return_exceptions=True)
        for host, end in zip(local.instance_arns, ends, strict=True):
            if host != drained:
                assert isinstance(end, aioecs.StartTaskResponse)
                assert [task.container_instance_arn for task in end.tasks] == [host]
            elif delivery == "at_most_once":
                assert isinstance(end, aioecs.StartUnknown)
                assert [(start.container_instance, start.siblings_found) for start in end.starts] == [(host, True)]
            else:
                assert isinstance(end, aioecs.StartTaskResponse)
                assert [failure.arn for failure in end.failures] == [host]
        sends = [call.instances for call in local.truth.calls("StartTask")]
        assert sends[1:] == ([] if delivery == "at_most_once" else [(drained,)])
        assert len(local.truth.tasks()) == 9


async def test_some_run_and_the_others_are_refused() -> None:
    """A packed call is sent again for missing starts and refused: a caller whose start runs gets no error of that."""
    faults = [Fault("reset", when="after"), Fault("error", code="ClientException", status=400)]
    async with LocalECS(instances=2, faults=faults) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "pacing": None}
        drained = local.instance_arns[1]
        local.engine.call("UpdateContainerInstancesState", {"containerInstances": [drained], "status": "DRAINING"})
        clocks = Timeouts(consistency=0.1, settle=2)
        async with (
            aioecs.Client(**access, timeouts=clocks) as client,
            client.batch(delivery="at_least_once") as batch,
        ):
            runs, refused = await asyncio.gather(
                *[batch.start_task(make_request(host)) for host in local.instance_arns], return_exceptions=True
            )
        assert isinstance(runs, aioecs.StartTaskResponse)
        assert len(runs.tasks) == 1
        assert isinstance(refused, aioecs.ClientException)
        assert [start.container_instance for start in refused.starts] == [drained]
        assert local.truth.requests["StartTask"] == 2
