"""batch: many starts for many callers, each told of its own, whoever else leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import attrs
import pytest
from fake_batch import HOSTS, FakeStartTask, arn_of, make_request, outcomes, rejecting, requests
from fake_transport import FakeTransport, fake_client
from virtual_time import iterations, run_in_virtual_time, until_virtual

import aioecs
from aioecs import CancelToken, ClientStateError, InvalidRequest, Outcome, StartCancelled, StartTaskRequest, Timeouts
from aioecs._runtime.concurrency import Priority
from aioecs.testing import Fault, LocalECS


def with_client(
    work: Callable[[aioecs.Client, FakeStartTask, FakeTransport], Awaitable[None]], told: Any = None, **more: Any
) -> None:
    """Run it with a client on a port that is told what to say, on virtual time."""

    async def run() -> None:
        said = FakeStartTask() if told is None else told
        port = FakeTransport(start_task=said)
        async with fake_client(port, pacing=None, **more) as client:
            await work(client, said, port)

    run_in_virtual_time(run())


def sent(port: FakeTransport) -> list[tuple[str, ...]]:
    """Return the instances of each StartTask."""
    return [tuple(request.container_instances) for name, request in port.requests if name == "StartTask"]


# Fanning out ---------------------------------------------------------------------------------------------------------


def test_a_thousand_equal_starts_make_a_hundred_calls() -> None:
    """In order, over fifty instances, with a thousand tasks; the statistics add up."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        asked = requests(1000)
        report = await client.start_tasks(asked)
        assert [instance for call in sent(port) for instance in call] == [r.container_instances[0] for r in asked]
        assert {len(call) for call in sent(port)} == {10}
        assert len({arn_of(start) for start in report.starts}) == 1000
        assert [start.container_instance for start in report.starts] == [r.container_instances[0] for r in asked]
        assert all(start.request is request for start, request in zip(report.starts, asked, strict=True))
        stats = report.statistics
        assert (stats.requested, stats.started, stats.calls, stats.in_flight, stats.queued) == (1000, 1000, 100, 0, 0)
        report.raise_for_failures()

    with_client(work)


def test_twenty_five_instances_make_three_calls() -> None:
    """A request may name any number of instances, one of them any number of times."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        instances = (*HOSTS[:20], *HOSTS[:5])
        report = await client.start_tasks([make_request(*instances)])
        assert sent(port) == [instances[:10], instances[10:20], instances[20:]]
        assert [start.container_instance for start in report.starts] == list(instances)
        async with client.batch() as batch:
            response = await batch.start_task(make_request(*instances))
        assert [task.container_instance_arn for task in response.tasks] == list(instances)
        assert len(port.requests) == 6

    with_client(work)


def test_a_refusal_fails_no_other() -> None:
    """It stands in the report in its place, and in what `raise_for_failures` raises."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
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

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        report = await client.start_tasks(requests(1000))
        assert len(port.requests) <= 2
        assert len(report.starts) == report.statistics.requested == 1000
        assert outcomes(report.starts)[Outcome.NOT_SENT] >= 980
        errors = {id(start.error): start.error for start in report.starts if start.error is not None}
        assert len(errors) == len(port.requests)
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

    async def told(request: StartTaskRequest, sent_marker: Any) -> Any:
        return await (rejecting("ClientException") if request.task_definition == "none" else good)(request, sent_marker)

    good = FakeStartTask()

    async def work(client: aioecs.Client, _: Any, port: FakeTransport) -> None:
        report = await client.start_tasks([make_request(HOSTS[0], task_definition="none"), make_request(HOSTS[0])])
        assert [start.outcome for start in report.starts] == [Outcome.REFUSED, Outcome.STARTED]
        assert isinstance(report.starts[0].error, aioecs.ClientException)

    with_client(work, told)


# Joining -------------------------------------------------------------------------------------------------------------


def test_two_hundred_callers_make_twenty_calls() -> None:
    """Each is told of its own task alone."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        async with client.batch() as batch:
            asked = requests(200, 200)
            responses = await asyncio.gather(*map(batch.start_task, asked))
        assert len(sent(port)) == 20
        for request, response in zip(asked, responses, strict=True):
            named = [task.container_instance_arn for task in response.tasks] + [each.arn for each in response.failures]
            assert tuple(named) == request.container_instances
        assert sum(len(response.failures) for response in responses) == 2
        assert len({task.task_arn for response in responses for task in response.tasks}) == 198

    with_client(work, FakeStartTask(full=[HOSTS[7], HOSTS[117]]))


def test_one_that_is_refused_with_others_is_told_its_own() -> None:
    """An error of the call is each caller's, with its own starts alone."""

    async def work(client: aioecs.Client, told: Any, port: FakeTransport) -> None:
        async with client.batch() as batch:
            ends = await asyncio.gather(*map(batch.start_task, requests(10)), return_exceptions=True)
        assert len(sent(port)) == 1
        assert len({id(end) for end in ends}) == 10
        for at, end in enumerate(ends):
            assert isinstance(end, aioecs.ClientException)
            assert [start.container_instance for start in end.starts] == [HOSTS[at]]

    with_client(work, rejecting("ClientException"))


def _by_token(token: CancelToken, _scope: Any, _task: Any) -> None:
    token.cancel("enough")


def _by_scope(_token: Any, scope: anyio.CancelScope, _task: Any) -> None:
    scope.cancel()


def _natively(_token: Any, _scope: Any, task: asyncio.Task[Any]) -> None:
    task.cancel()


CANCELS = [_by_token, _by_scope, _natively]


@pytest.mark.parametrize("wire", [False, True], ids=["before the wire", "on the wire"])
@pytest.mark.parametrize("cancel", CANCELS)
def test_fifty_of_two_hundred_leave(cancel: Callable[..., None], wire: bool) -> None:
    """Before the wire they are taken out; on it only theirs are stopped; the other 150 are left alone."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        token, scope = CancelToken(), anyio.CancelScope()
        source = {_by_token: token, _by_scope: scope, _natively: None}[cancel]
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
            await until_virtual(lambda: told.begun == (20 if wire else 0))
            for task in tasks[::4]:
                cancel(token, scope, task)
            await asyncio.sleep(0.02)
            for _ in range(0 if wire else 25):
                core.concurrency.release()
            told.gate.set()
            await asyncio.wait(tasks)
        assert sum(map(len, sent(port))) == (199 if wire else 149)
        stops = [request.task for name, request in port.requests if name == "StopTask"]
        assert [task.cancelled() for task in tasks[::4]] == [cancel is _natively] * 50
        assert Counter(stops).total() == len(set(stops)) == (50 if wire else 0)
        for task in tasks[::4]:
            truth = task.exception() if not task.cancelled() else await _truth_of(task)
            assert isinstance(truth, StartCancelled)
            assert truth.outcome is (Outcome.STOPPED if wire else Outcome.NOT_SENT)
            assert {each.task_arn for each in truth.tasks} <= set(stops)
            assert truth.reason == ("enough" if cancel is _by_token else None)
        others = [task.result() for at, task in enumerate(tasks) if at % 4]
        assert all(len(response.tasks) == 1 for response in others)

    with_client(work, FakeStartTask(open_=False), max_in_flight=25)


async def _truth_of(task: asyncio.Task[Any]) -> StartCancelled | None:
    try:
        await task
    except asyncio.CancelledError as error:
        return aioecs.find_start_error(error)
    return None


def test_abandoned_goes_at_once() -> None:
    """What is in flight is UNKNOWN to its caller, and heard of by `on_settled` when it has landed."""
    heard: list[Any] = []

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        token = CancelToken()
        async with client.batch(on_cancel="abandon") as batch:
            task = asyncio.ensure_future(batch.start_task(make_request(HOSTS[0]), token))
            await until_virtual(lambda: told.begun == 1)
            token.cancel()
            await asyncio.wait([task])
            error = task.exception()
            assert isinstance(error, StartCancelled)
            assert error.outcome is Outcome.UNKNOWN
            told.gate.set()
        assert [start.outcome for starts, _ in heard for start in starts] == [Outcome.STARTED]

    with_client(work, FakeStartTask(open_=False), on_settled=lambda *told: heard.append(told))


@pytest.mark.parametrize("by", ["token", "native"])
def test_refused_before_it_begins(by: str) -> None:
    """A scope or token that has fired, or a cancel that has come, lets nothing begin."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        token = CancelToken()
        truth: StartCancelled | None = None
        async with client.batch() as batch:
            if by == "token":
                token.cancel("before")
                with pytest.raises(StartCancelled) as caught:
                    await batch.start_task(make_request(HOSTS[0]), token)
                truth = caught.value
                with pytest.raises(StartCancelled, match="not sent"):
                    await batch.report(requests(3), token)
                assert [start.outcome async for start in batch.start_tasks(requests(3), token)] == [
                    Outcome.NOT_SENT
                ] * 3
                assert [start async for start in batch.start_tasks(iter(requests(3)), token)] == []
                assert [start async for start in batch.start_tasks(endless(), token)] == []
            else:
                for ask in (lambda: batch.start_task(make_request(HOSTS[0])), lambda: batch.report(requests(3))):
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
        assert port.requests == []

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


def test_only_equal_on_doubt_share_a_call() -> None:
    """Two batches of different policies make two calls, though their starts are equal."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        async with client.batch(delivery="at_least_once") as one, client.batch() as other:
            await asyncio.gather(one.start_task(make_request(HOSTS[0])), other.start_task(make_request(HOSTS[0])))
        assert len(sent(port)) == 2

    with_client(work)


# The block -----------------------------------------------------------------------------------------------------------


def test_not_open_closed_entered_twice() -> None:
    """A batch is used inside its block, once; before, after and beside it nothing is sent."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        batch = client.batch()
        for state in ("not entered", "closed"):
            assert repr(batch).startswith(f"<aioecs.Batch {state}, ")
            with pytest.raises(ClientStateError, match=state):
                await batch.start_task(make_request(HOSTS[0]))
            with pytest.raises(ClientStateError, match=state):
                await anext(batch.start_tasks([]))
            with pytest.raises(ClientStateError, match=state):
                await batch.report([])
            if state == "not entered":
                async with batch:
                    with pytest.raises(ClientStateError, match="open"):
                        await batch.__aenter__()
        with pytest.raises(ClientStateError, match="closed"):
            await batch.__aenter__()
        assert port.requests == []

    with_client(work)


async def test_of_a_client_that_was_left() -> None:
    """A batch outlives its client's block: it says so, and nothing is sent."""
    port = FakeTransport(start_task=FakeStartTask())
    async with fake_client(port, pacing=None) as client:
        batch = client.batch()
        await batch.__aenter__()
    with pytest.raises(ClientStateError, match="closed"):
        await batch.start_task(make_request(HOSTS[0]))
    await batch.__aexit__(None, None, None)
    assert port.requests == []


@pytest.mark.parametrize("wrong", ["request", "instances", "scope", "key"])
def test_what_is_not_a_request_is_refused_at_once(wrong: str) -> None:
    """Nothing is sent, and the error names the member."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
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
        assert port.requests == []

    with_client(work)


def test_leaving_the_block_drains_it() -> None:
    """Whoever still waits is told in the end."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        async with client.batch() as batch:
            tasks = [asyncio.ensure_future(batch.start_task(request)) for request in requests(30)]
            asyncio.get_running_loop().call_later(20, told.gate.set)
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
    """What is queued then is not sent, what flies goes on in custody and is left running."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with client.batch(drain=3) as batch:
            tasks = [asyncio.ensure_future(batch.start_task(request)) for request in requests(30)]
            await until_virtual(lambda: told.begun == 2)
        assert loop.time() - began < 3.1
        told.gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(end, aioecs.StartTaskResponse) for end in ends) == 20
        assert sum(isinstance(end, aioecs.ECSError) for end in ends) == 10
        assert len(port.requests) == 2

    with_client(work, FakeStartTask(open_=False), max_in_flight=2)


@pytest.mark.parametrize(
    ("on_cancel", "stops", "outcome"),
    [("stop", 10, Outcome.STOPPED), ("keep", 0, Outcome.STARTED), ("abandon", 0, None)],
)
def test_an_exception_in_the_block_withdraws(on_cancel: Any, stops: int, outcome: Outcome | None) -> None:
    """By policy, and it waits for what that comes to, unless all is abandoned; the exception goes on."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        batch = client.batch(on_cancel=on_cancel)
        tasks: list[asyncio.Task[Any]] = []
        with pytest.raises(ValueError, match="mine"):
            async with batch:
                tasks += [asyncio.ensure_future(batch.start_task(request)) for request in requests(20)]
                await until_virtual(lambda: told.begun == 1)
                asyncio.get_running_loop().call_later(1, told.gate.set)
                raise ValueError("mine")
        now = batch.statistics()
        assert now.requested == 20
        assert now.not_sent == 10
        assert [name for name, _ in port.requests].count("StopTask") == stops
        if outcome is None:
            assert now.in_flight == 1
        else:
            assert getattr(now, outcome.value) == 10
        told.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert batch.statistics().started + batch.statistics().stopped == 10

    with_client(work, FakeStartTask(open_=False), max_in_flight=1)


@pytest.mark.parametrize("where", ["in the block", "while draining"])
@pytest.mark.parametrize("cancels", [1, 2])
def test_a_cancel_of_the_block_settles(where: str, cancels: int) -> None:
    """The first CancelledError goes on, after what it left has settled; a second ends the wait, not the settling."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        batch = client.batch()
        loop = asyncio.get_running_loop()

        async def block() -> None:
            async with batch:
                others.append(asyncio.ensure_future(batch.start_task(make_request(HOSTS[0]))))
                await asyncio.sleep(1000 if where == "in the block" else 0)

        others: list[asyncio.Task[Any]] = []
        task = asyncio.ensure_future(block())
        await until_virtual(lambda: told.begun == 1)
        for at in range(cancels):
            loop.call_later(at + 1, task.cancel, f"cancel {at}")
        loop.call_later(5, told.gate.set)
        began = loop.time()
        with pytest.raises(asyncio.CancelledError, match="cancel 0"):
            await task
        assert loop.time() - began == pytest.approx(5 if cancels == 1 else 2, abs=0.1)
        await asyncio.wait(others)
        assert batch.statistics().stopped == 1

    with_client(work, FakeStartTask(open_=False))


def test_a_second_cancel_does_not_hide_behind_an_error() -> None:
    """An error in the block, and then a cancel while it settles: the cancel is heard."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        async def block() -> None:
            async with client.batch() as batch:
                others.append(asyncio.ensure_future(batch.start_task(make_request(HOSTS[0]))))
                await until_virtual(lambda: told.begun == 1)
                raise ValueError("mine")

        others: list[asyncio.Task[Any]] = []
        task = asyncio.ensure_future(block())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        told.gate.set()
        await asyncio.wait(others)

    with_client(work, FakeStartTask(open_=False))


# A cancel of the report ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cancel", [*CANCELS, "around"])
def test_a_cancelled_report_has_its_starts_in_order(cancel: Any) -> None:
    """By the scope or token it is StartCancelled; natively it is the first CancelledError, with that as its cause."""

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        token, scope = CancelToken(), anyio.CancelScope()
        source: Any = {_by_token: token, _by_scope: scope, "around": scope}.get(cancel)
        truths: list[StartCancelled | None] = []

        async def ask() -> None:
            with scope if cancel == "around" else contextlib.nullcontext():
                try:
                    await client.start_tasks(requests(45), source)
                except asyncio.CancelledError as error:
                    truths.append(aioecs.find_start_error(error))
                    raise

        task = asyncio.ensure_future(ask())
        await until_virtual(lambda: told.begun == 2)
        (_by_scope if cancel == "around" else cancel)(token, scope, task)
        asyncio.get_running_loop().call_later(1, told.gate.set)
        await asyncio.wait([task])
        if cancel in (_by_token, _by_scope):
            truth = task.exception()
        else:
            assert task.cancelled() is (cancel is _natively)
            (truth,) = truths
        assert isinstance(truth, StartCancelled)
        assert [start.container_instance for start in truth.starts] == list(HOSTS[:45])
        assert [start.outcome for start in truth.starts] == [Outcome.STOPPED] * 20 + [Outcome.NOT_SENT] * 25
        assert truth.source is (source if cancel in (_by_token, _by_scope) else None)
        assert len(sent(port)) == 2

    with_client(work, FakeStartTask(open_=False), max_in_flight=2)


def test_a_cancelled_report_waits_no_longer_than_settle() -> None:
    """What has not settled then is told as it is known; its end is reported."""
    heard: list[Any] = []

    async def work(client: aioecs.Client, told: FakeStartTask, port: FakeTransport) -> None:
        token = CancelToken()
        loop = asyncio.get_running_loop()
        async with client.batch() as batch:
            task = asyncio.ensure_future(batch.report(requests(10), token))
            await until_virtual(lambda: told.begun == 1)
            began = loop.time()
            token.cancel()
            await asyncio.wait([task])
            error = task.exception()
            assert isinstance(error, StartCancelled)
            assert outcomes(error.starts) == {Outcome.UNKNOWN: 10}
            assert loop.time() - began == pytest.approx(2)
            told.gate.set()
        assert [start.outcome for starts, _ in heard for start in starts] == [Outcome.STOPPED] * 10

    with_client(
        work, FakeStartTask(open_=False), timeouts=Timeouts(settle=2), on_settled=lambda *told: heard.append(told)
    )


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
    """What runs is adopted, and only what is missing goes on, or is UNKNOWN; each caller hears of its own."""
    async with LocalECS(instances=10, faults=[Fault("reset", when="after")], visibility_lag=0.1) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "pacing": None}
        drained = local.instance_arns[3]  # whose start is refused, and nobody hears of it
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


async def test_some_run_and_the_rest_is_refused() -> None:
    """A packed call that is sent again for what is missing and turned away: whose start runs is not told of that."""
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
