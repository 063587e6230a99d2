"""client: it opens once, and its settings reach what uses them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiobotocore.config import AioConfig
from engine_transport import engine_client
from fake_transport import FakeReconciler, FakeTransport, HeldAttempt, fake_client, lost, make_request, started
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import (
    CancelToken,
    Client,
    DistinctInstance,
    Outcome,
    Pacing,
    Retries,
    StartTaskRequest,
    StartTaskResponse,
    Timeouts,
)
from aioecs._batch.batch import session_of
from aioecs._client import client as module
from aioecs._model.call_events import CallBegun, CallSettled, RequestAnswered, RequestSent, StartSettled
from aioecs._runtime import admission
from aioecs.errors import (
    CallTimeout,
    ClientStateError,
    ConfigurationError,
    IdempotencyMismatch,
    InvalidRequest,
    StartCancelled,
    StartUnknown,
)
from aioecs.testing import LocalECS

CLOCKS = Timeouts(call=60, settle=8, attempt=5, consistency=20, drain=12)


@asynccontextmanager
async def opened(transport: FakeTransport, **settings: Any) -> AsyncIterator[Client]:
    """Open a client whose lookups find nothing."""
    async with fake_client(transport, **{"timeouts": CLOCKS, **settings}) as client:
        client._preparer.reconcilers[None] = cast("Any", FakeReconciler())
        yield client


# Opening and closing -------------------------------------------------------------------------------------------------


async def test_opened_in_one_task_and_closed_in_another(local: LocalECS) -> None:
    """As the containers of frameworks do; what it started meanwhile in others stands."""
    client = Client(**local.client_kwargs())
    assert await asyncio.create_task(client.aopen()) is client
    request = StartTaskRequest(task_definition="demo", container_instances=[local.instance_arns[0]])
    started_here = await asyncio.create_task(client.start_task(request))
    await asyncio.create_task(client.aclose())
    assert [task.arn for task in local.truth.running()] == [task.arn for task in started_here.tasks]
    with pytest.raises(ClientStateError, match=r"this client is closed: use it inside .* `await client.aopen\(\)`"):
        await client.start_task(request)


async def test_opened_once_and_closed_any_number_of_times(local: LocalECS) -> None:
    """A second opening is refused, also during the first; a second close does nothing."""
    client = Client(**local.client_kwargs())
    opening = asyncio.create_task(client.aopen())
    await asyncio.sleep(0)
    for call in (client.aopen, client.aclose):
        with pytest.raises(ClientStateError, match="opening"):
            await call()
    await (await opening).aclose()
    await client.aclose()
    never = Client(**local.client_kwargs())
    await never.aclose()
    with pytest.raises(ClientStateError, match="closed"):
        await never.aopen()


def test_two_closes_at_once() -> None:
    """Both return once what was in flight is answered."""

    async def main() -> None:
        held = HeldAttempt()
        async with opened(FakeTransport(start_task=held)) as client:
            starting = asyncio.create_task(client.start_task(make_request()))
            await held.begun.wait()
            closing = [asyncio.create_task(client.aclose()) for _ in range(2)]
            await iterations(5)
            assert not any(each.done() for each in closing)
            with pytest.raises(ClientStateError, match="closing"):
                await client.start_task(make_request())
            held.gate.set()
            await asyncio.gather(*closing)
            assert len((await starting).tasks) == 1

    run_in_virtual_time(main())


async def test_another_loop_may_not_close_it(local: LocalECS) -> None:
    """It says whose it is, and stays open."""
    async with Client(**local.client_kwargs()) as client:
        with pytest.raises(ClientStateError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, client.aclose())
        await client.list_tasks()


async def test_a_batch_is_opened_and_closed_likewise(local: LocalECS) -> None:
    """It waits for its starts; a second close does nothing."""
    async with Client(**local.client_kwargs()) as client:
        batch = await client.batch(window=0.05).aopen()
        request = StartTaskRequest(task_definition="demo", container_instances=[local.instance_arns[0]])
        starting = asyncio.create_task(batch.start_task(request))
        await asyncio.sleep(0.01)
        await asyncio.create_task(batch.aclose())
        assert len((await starting).tasks) == 1
        await batch.aclose()
        with pytest.raises(ClientStateError, match="closed"):
            await batch.start_task(request)


# What it is made with ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_in_flight", 0),
        ("max_in_flight", True),
        ("max_in_flight", 2.0),
        ("on_cancel", "maybe"),
        ("delivery", "twice"),
        ("transport", "pigeon"),
        ("timeouts", None),
        ("timeouts", 30),
        ("retries", {"attempts": 3}),
        ("pacing", "fast"),
        ("on_settled", "print"),
        ("on_event", asyncio.sleep),
    ],
)
def test_a_setting_that_can_t_be(setting: str, value: Any) -> None:
    """It is named when the client is made, before a loop runs."""
    with pytest.raises(InvalidRequest, match=setting):
        Client("us-east-1", **{setting: value})


def test_what_contradicts_itself_is_refused_when_it_is_made() -> None:
    """As `Settings` has it."""
    with pytest.raises(ConfigurationError, match="session must be an aiobotocore AioSession"):
        Client("us-east-1", session="default")


async def test_its_settings_reach_what_uses_them() -> None:
    """Clocks, retries, policies and the hook are in the core; the token's tag and the rate limit in the preparer."""

    def receive(starts: tuple[aioecs.StartResult, ...], why: str | None) -> None:
        pass

    retries = Retries(max_attempts=2)
    settings: dict[str, Any] = {"retries": retries, "on_cancel": "keep", "max_in_flight": 7, "tag_tokens": True}
    async with opened(FakeTransport(), **settings, on_settled=receive) as client:
        core, preparer = client._core(), client._preparer
        assert (client.timeouts, core.timeouts, core.retries, core.on_cancel) == (CLOCKS, CLOCKS, retries, "keep")
        assert (core.concurrency.size, core.emit) == (7, None)
        assert core.on_settled is receive
        assert (preparer.tag_tokens, preparer.rate_limited, preparer.region) == (True, False, "us-east-1")
        assert (core.start_limiter.rate, core.read_limiter.rate) == (math.inf, math.inf)


async def test_it_is_rate_limited_as_configured() -> None:
    """What is pinned is the bucket of the starts; where the endpoint is the caller's own, so are its Regions."""
    async with opened(FakeTransport(), pacing=Pacing(burst=3, rate=2), endpoint_url="http://fake") as client:
        core = client._core()
        assert (core.start_limiter.rate, core.read_limiter.rate) == (2, 20)
        assert (client._preparer.rate_limited, client._preparer.region) == (True, None)


async def test_no_more_in_flight_than_connections() -> None:
    """A pool that is smaller bounds it: nobody waits unseen inside of the HTTP client."""
    async with opened(FakeTransport(), config=AioConfig(max_pool_connections=3)) as client:
        assert client._core().concurrency.size == 3


async def test_a_listener_receives_the_events() -> None:
    """From the request's sending on; without one no event is made."""
    received: list[type] = []
    async with opened(FakeTransport(), on_event=lambda event: received.append(type(event))) as client:
        await client.start_task(make_request())
    assert received == [CallBegun, RequestSent, RequestAnswered, CallSettled, StartSettled]


# Opening and closing -------------------------------------------------------------------------------------------------


class Wire:
    """What the client opens: a transport with scripted answers, and whether it is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **says: Any) -> None:
        self.transport = FakeTransport(**says)
        self.open = False
        self.fails: BaseException | None = None
        self.slow: asyncio.Event | None = None
        monkeypatch.setattr(module, "open_transport", self._connected)

    @asynccontextmanager
    async def _connected(self, _: object) -> AsyncIterator[tuple[FakeTransport, str]]:
        if self.slow is not None:
            await self.slow.wait()
        if self.fails is not None:
            raise self.fails
        self.open = True
        try:
            yield self.transport, "the raw client"
        finally:
            self.open = False


def a_client(**settings: Any) -> Client:
    """Make one that is not paced."""
    return Client("us-east-1", **{"pacing": None, "timeouts": CLOCKS, **settings})


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Have only a transport with scripted answers."""
    return Wire(monkeypatch)


async def test_it_is_used_while_it_is_open(wire: Wire) -> None:
    """Every method refuses before and after; its repr is a dashboard."""
    client = a_client(max_in_flight=4)

    async def refused(state: str) -> None:
        assert repr(client) == f"<aioecs.Client {state}>"
        for ask in (
            client.start_task(make_request()),
            client.start_tasks([]),
            client.place_tasks(make_request(0), count=1),
        ):
            with pytest.raises(ClientStateError, match=f"this client is {state}: use it inside"):
                await ask
        for into in (lambda: client.raw, client.batch):
            with pytest.raises(ClientStateError, match=state):
                into()

    await refused("not entered")
    async with client as entered:
        assert entered is client
        assert (wire.open, client.raw) == (True, "the raw client")
        at = "us-east-1 at http://fake, fake transport"
        assert repr(client) == f"<aioecs.Client open, {at}, 0/4 in flight, 0 waiting, 0 background tasks>"
    assert not wire.open
    await refused("closed")
    assert wire.transport.requests == []


async def test_it_is_entered_once(wire: Wire) -> None:
    """Neither while it is open nor after that."""
    client = a_client()
    async with client:
        with pytest.raises(ClientStateError, match="this client is open: make a new one"):
            await client.__aenter__()
        assert wire.open
    with pytest.raises(ClientStateError, match="this client is closed: make a new one"):
        await client.__aenter__()


async def test_it_may_be_left_in_another_task(wire: Wire) -> None:
    """Of the same loop; another loop is refused, and does it no harm."""
    client = await asyncio.create_task(a_client().__aenter__())

    async def elsewhere() -> None:
        with pytest.raises(ClientStateError, match="belongs to another event loop"):
            await client.start_task(make_request())
        with pytest.raises(ClientStateError, match="belongs to another event loop"):
            await client.__aexit__(None, None, None)

    await asyncio.to_thread(asyncio.run, elsewhere())
    assert len((await client.start_task(make_request())).tasks) == 1
    await asyncio.create_task(client.__aexit__(None, None, None))
    assert not wire.open


async def test_what_keeps_it_from_opening_is_raised(wire: Wire) -> None:
    """As it is, a cancel too; it is closed then."""
    wire.fails = ConfigurationError("no Region")
    client = a_client()
    with pytest.raises(ConfigurationError, match="no Region"):
        await client.__aenter__()
    assert repr(client) == "<aioecs.Client closed>"
    wire.slow = asyncio.Event()
    client = a_client()
    opening = asyncio.create_task(client.__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    assert repr(client) == "<aioecs.Client closed>"


async def test_an_error_in_the_block_goes_on(wire: Wire) -> None:
    """It is the same one, and what was open is closed."""
    with pytest.raises(ZeroDivisionError):
        async with a_client():
            raise ZeroDivisionError
    assert not wire.open


Settled = list[tuple[tuple[Outcome, ...], "str | None", float]]


@pytest.mark.parametrize(
    ("answered", "cancelled", "took", "outcome"),
    [
        (5.0, None, 5.0, Outcome.STARTED),
        (None, None, CLOCKS.drain, Outcome.UNKNOWN),
        (5.0, 3.0, 5.0, Outcome.STARTED),
        (None, 3.0, 3.0 + CLOCKS.settle, Outcome.UNKNOWN),
    ],
    ids=["answered", "not answered", "cancelled and answered", "cancelled and not answered"],
)
def test_leaving_waits_for_what_is_on_its_way(
    answered: float | None,
    cancelled: float | None,
    took: float,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For `drain` seconds, or `settle` from a cancel on; what is open then is UNKNOWN in the log, with its token."""
    caplog.set_level(logging.INFO, "aioecs")

    async def main() -> None:
        loop, held, received = asyncio.get_running_loop(), HeldAttempt(), Settled()
        wire = Wire(monkeypatch, start_task=held)

        def receive(starts: tuple[aioecs.StartResult, ...], why: str | None) -> None:
            received.append((tuple(start.outcome for start in starts), why, loop.time() - began))

        client = await a_client(on_settled=receive, on_cancel="keep").__aenter__()
        token = CancelToken()
        start = asyncio.create_task(client.start_task(make_request(), token, on_cancel="abandon"))
        await held.begun.wait()
        token.cancel("bored")
        await asyncio.wait([start])
        began = loop.time()
        leaving = asyncio.create_task(client.__aexit__(None, None, None))
        if answered is not None:
            loop.call_later(answered, held.gate.set)
        if cancelled is not None:
            loop.call_later(cancelled, leaving.cancel)
        await asyncio.wait([leaving])
        assert leaving.cancelled() is (cancelled is not None)
        assert loop.time() - began == pytest.approx(took)
        [(outcomes, why, after)] = received
        assert (outcomes, why) == ((outcome,), "bored")
        assert after == pytest.approx(took)
        assert not wire.open

    run_in_virtual_time(main())
    [reported] = [record.getMessage() for record in caplog.records if "token aioecs-" in record.getMessage()]
    assert f"bored: 1 {outcome}" in reported


# One call ------------------------------------------------------------------------------------------------------------


def test_a_call_may_have_policies_of_its_own() -> None:
    """Before the client's: what a cancel leaves behind, and what an ambiguous failure leads to."""

    async def main() -> None:
        held = HeldAttempt()
        async with opened(FakeTransport(start_task=held)) as client:
            for on_cancel, outcome in ((None, Outcome.STOPPED), ("keep", Outcome.STARTED)):
                held.begun.clear()
                held.gate.clear()
                token, policy = CancelToken(), cast("Any", on_cancel)
                start = asyncio.create_task(client.start_task(make_request(), token, on_cancel=policy))
                await held.begun.wait()
                token.cancel()
                held.gate.set()
                with pytest.raises(StartCancelled) as cancelled:
                    await start
                assert cancelled.value.outcome is outcome
        async with opened(FakeTransport(start_task=lost)) as client:
            with pytest.raises(StartUnknown):
                await client.start_task(make_request())
            asyncio.get_running_loop().call_later(1, client._core().transport.handlers.update, {"start_task": started})  # type: ignore[attr-defined]
            assert len((await client.start_task(make_request(), delivery="at_least_once")).tasks) == 1

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"on_cancel": "maybe"}, "on_cancel"),
        ({"delivery": "twice"}, "delivery"),
        ({"cancel_scope": 7.0}, "cancel_scope"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"request": make_request(0)}, "container_instances"),
    ],
)
async def test_what_a_call_can_t_be_given(given: dict[str, Any], named: str) -> None:
    """It is named, and nothing is sent."""
    transport = FakeTransport()
    async with opened(transport) as client:
        with pytest.raises(InvalidRequest, match=named):
            await client.start_task(**{"request": make_request(), **given})
    assert transport.requests == []


async def test_a_token_that_has_fired() -> None:
    """Nothing is sent, nor is the key taken."""
    transport, token = FakeTransport(), CancelToken()
    token.cancel("bored")
    async with opened(transport) as client:
        with pytest.raises(StartCancelled) as cancelled:
            await client.start_task(make_request(), token, idempotency_key="key")
        assert (cancelled.value.outcome, cancelled.value.reason) == (Outcome.NOT_SENT, "bored")
        assert transport.requests == []
        assert len(await tasks_of(client, "key")) == 1


async def tasks_of(client: Client, key: str, request: StartTaskRequest | None = None) -> tuple[aioecs.Task, ...]:
    """Start under a key, and return the tasks."""
    return tuple((await client.start_task(request or make_request(), idempotency_key=key)).tasks)


def test_equal_keys_at_the_same_time_share_one_call() -> None:
    """Others don't, nor do those who come when it is over; for another request the key is in use."""

    async def main() -> None:
        held = HeldAttempt()
        transport = FakeTransport(start_task=held)
        async with opened(transport) as client:
            same = [asyncio.create_task(tasks_of(client, "key")) for _ in range(3)]
            other = asyncio.create_task(tasks_of(client, "other"))
            await held.begun.wait()
            await iterations(5)
            with pytest.raises(IdempotencyMismatch, match="in use for another request in this client"):
                await tasks_of(client, "key", make_request(2))
            assert len(transport.requests) == 2
            held.gate.set()
            assert len({await each for each in same}) == 1
            await other
            await iterations(5)
            assert len(await tasks_of(client, "key", make_request(2))) == 2
            assert len(transport.requests) == 3

    run_in_virtual_time(main())


@pytest.mark.parametrize("ends", [True, False])
def test_a_withdrawn_call_of_its_key_is_waited_for(ends: bool) -> None:
    """Its task may be about to be stopped; the next one starts when it is over, or ends by its own clock, unsent."""

    async def main() -> None:
        held, token = HeldAttempt(), CancelToken()
        transport = FakeTransport(start_task=held)
        async with opened(transport, timeouts=Timeouts(call=6, settle=1)) as client:
            first = asyncio.create_task(client.start_task(make_request(), token, idempotency_key="key"))
            await held.begun.wait()
            token.cancel()
            await asyncio.wait([first])
            second = asyncio.create_task(tasks_of(client, "key"))
            await asyncio.sleep(3 if ends else 7)
            assert transport.names() == ["StartTask"]
            held.gate.set()
            await asyncio.wait([second])
            if ends:
                assert transport.names() == ["StartTask", "StopTask", "StartTask"]
                assert len(second.result()) == 1
            else:
                assert isinstance(second.exception(), CallTimeout)
            await iterations(5)

    run_in_virtual_time(main())


def test_of_many_callers_each_gets_its_own_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queued callers among them: served, refused, or cancelled there with what that means as the cause."""
    monkeypatch.setattr(admission, "ADMITTING_TIME", 0.0)

    async def main() -> None:
        transport = FakeTransport()
        async with opened(transport) as client:
            crowd = [asyncio.create_task(client.start_task(make_request())) for _ in range(40)]
            refused_ = asyncio.create_task(client.start_task(make_request(0)))
            cut = [asyncio.create_task(client.start_task(request)) for request in (make_request(2), make_request(0))]
            await iterations(1)
            assert client._core().admission.waiting > 3
            for each in cut:
                each.cancel()
            assert all(len(answer.tasks) == 1 for answer in await asyncio.gather(*crowd))
            with pytest.raises(InvalidRequest):
                await refused_
            causes: list[type] = []
            for each in cut:
                with pytest.raises(asyncio.CancelledError) as cancelled:
                    await each
                causes.append(type(cancelled.value.__cause__))
            assert causes == [StartCancelled, InvalidRequest]
            assert len(transport.requests) == 40

    run_in_virtual_time(main())


# Many ----------------------------------------------------------------------------------------------------------------


def test_many_are_started_as_one_batch() -> None:
    """Equal ones together; under keys of their own apart, and looked up first. The client's policies hold for it."""

    async def main() -> None:
        transport = FakeTransport()
        async with opened(transport, on_cancel="keep") as client:
            report = await client.start_tasks([make_request()] * 20)
            assert (len(report.started), len(transport.requests)) == (20, 2)
            keyed = await client.start_tasks(
                [make_request(group="a"), make_request(group="b")], idempotency_key=lambda one: str(one.group)
            )
            assert len(keyed.started) == 2
            assert len({request.started_by for _, request in transport.requests}) == 4
            assert session_of(client.batch()).on_cancel == "keep"
            assert session_of(client.batch(on_cancel="abandon")).on_cancel == "abandon"
            assert session_of(client.batch(delivery="at_least_once")).delivery == "at_least_once"

    run_in_virtual_time(main())


def test_a_token_ends_them() -> None:
    """What was in flight is stopped, as the call has it, and the report has all that was drawn."""

    async def main() -> None:
        held, token = HeldAttempt(), CancelToken()
        async with opened(FakeTransport(start_task=held), on_cancel="keep") as client:
            starting = asyncio.create_task(client.start_tasks([make_request(3)], token, on_cancel="stop"))
            await held.begun.wait()
            token.cancel()
            held.gate.set()
            with pytest.raises(StartCancelled) as cancelled:
                await starting
            assert [start.outcome for start in cancelled.value.starts] == [Outcome.STOPPED] * 3

    run_in_virtual_time(main())


@pytest.mark.parametrize("wrong", [{"on_cancel": "maybe"}, {"delivery": "twice"}])
async def test_a_policy_that_can_t_be(wrong: dict[str, Any]) -> None:
    """Every method names it, and nothing is sent."""
    transport = FakeTransport()
    async with opened(transport) as client:
        with pytest.raises(InvalidRequest, match=next(iter(wrong))):
            client.batch(**wrong)
        for ask in (
            client.start_tasks([make_request()], **wrong),
            client.place_tasks(make_request(0), count=1, **wrong),
        ):
            with pytest.raises(InvalidRequest, match=next(iter(wrong))):
                await ask
        for ask in (
            client.start_tasks([], cast("Any", 7)),
            client.place_tasks(make_request(0), cast("Any", 7), count=1),
        ):
            with pytest.raises(InvalidRequest, match="cancel_scope"):
                await ask
    assert transport.requests == []


def test_tasks_are_placed() -> None:
    """On instances that it chooses; constraints may be any iterable."""

    async def main() -> None:
        async with engine_client() as world:
            world.transport.engine.add_instances(2)
            request = StartTaskRequest(task_definition="demo")
            report = await world.client.place_tasks(request, count=6)
            assert [len(report.started), len({start.container_instance for start in report.started})] == [6, 3]
            distinct = await world.client.place_tasks(
                request, count=4, constraints=(each for each in [DistinctInstance()])
            )
            assert (len(distinct.started), len(distinct.refused) + len(distinct.not_sent)) == (3, 1)

    run_in_virtual_time(main())


async def test_on_a_real_socket(client: Client, local: LocalECS) -> None:
    """What the methods promise holds where ECS answers, too."""
    request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
    response = await client.start_task(request)
    assert isinstance(response, StartTaskResponse)
    assert {task.task_arn for task in response.tasks} == {task.arn for task in local.truth.running()}
    assert f"at {local.endpoint_url}, native transport, 0/50 in flight" in repr(client)
