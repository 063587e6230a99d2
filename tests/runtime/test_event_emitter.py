"""event_emitter: which inputs of a call make events, and how they are emitted."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, get_args

import pytest
from fake_batch import HOSTS, FakeStartTask, requests
from fake_transport import (
    INSTANCES,
    FakeReconciler,
    FakeTransport,
    fake_client,
    make_call,
    make_core,
    make_request,
    started,
    tasks_for,
)
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import CancelToken, Outcome, Pacing, Timeouts
from aioecs._batch.placement import placement_stream
from aioecs._logic.calls.actions import BackoffEnded
from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._model.call_events import (
    CallAmbiguous,
    CallBegun,
    CallSettled,
    Event,
    LookupCompleted,
    RequestAnswered,
    RequestNotSent,
    RequestRateLimited,
    RequestRejected,
    RequestSent,
    RequestThrottled,
    StartSettled,
    TaskAdopted,
)
from aioecs._runtime import event_emitter
from aioecs._runtime.event_emitter import StartEvents, emit_rate_limited, emit_start_settled, event_of, make_emitter
from aioecs._transport.transport import SentMarker
from aioecs.errors import (
    AnswerLost,
    ConnectionFailed,
    InvalidParameterException,
    StartCancelled,
    ThrottlingException,
)
from aioecs.testing import LocalECS
from aioecs.types import JobAttempted, StopSettled, WaitSettled

NotOfACall = StartSettled | StopSettled | WaitSettled | JobAttempted

RATE_LIMITED = RequestRateLimited(call=1, waited=0.5)


def reported_by(
    transport: FakeTransport, reconciler: FakeReconciler | None = None
) -> tuple[list[Event], tuple[Outcome, ...]]:
    """Carry a call out, and return its events and the outcomes of its starts."""
    events: list[Event] = []

    async def main() -> tuple[Outcome, ...]:
        call = make_call(make_core(transport, emit=events.append), reconciler)
        call.begin()
        await call.end_waiter()
        return tuple(start.outcome for start in call.record.starts())

    return events, run_in_virtual_time(main())


def test_a_start_that_was_throttled_lost_looked_up_and_adopted() -> None:
    """The events say just that, in order, each with the number of the call."""
    attempts: list[Attempt[Any]] = [Rejected(ThrottlingException("Rate exceeded")), Lost(AnswerLost("reset"))]

    async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        sent_marker.body_started = True
        return attempts.pop(0)

    events, outcomes = reported_by(
        FakeTransport(start_task=say), FakeReconciler(tasks_for(make_request(started_by="aioecs-token")))
    )
    assert [type(event) for event in events] == [
        CallBegun,
        RequestSent,
        RequestThrottled,
        RequestSent,
        CallAmbiguous,
        LookupCompleted,
        TaskAdopted,
        CallSettled,
    ]
    assert len({event.call for event in events if not isinstance(event, NotOfACall)}) == 1
    assert isinstance(last := events[-1], CallSettled)
    assert last.outcomes == outcomes == (Outcome.STARTED,)
    assert isinstance(adopted := events[-2], TaskAdopted)
    assert adopted.task_arns == last.task_arns
    assert isinstance(sent := events[1], RequestSent)
    assert sent.instances == INSTANCES[:1]


def test_an_answer_that_lacks_a_start_is_ambiguous() -> None:
    """It is emitted as an answer, and then as the ambiguity that it leaves."""

    async def nothing(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        sent_marker.body_started = True
        return Answered(aioecs.StartTaskResponse(), "request-1")

    events, outcomes = reported_by(FakeTransport(start_task=nothing), FakeReconciler())
    assert [type(event) for event in events[:4]] == [CallBegun, RequestSent, RequestAnswered, CallAmbiguous]
    assert outcomes == (Outcome.UNKNOWN,)


def test_nobody_listens() -> None:
    """Then there is nothing to call, and a call emits nothing."""
    assert make_emitter(None) is None


def test_a_listener_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """And hurts nothing."""

    def broken(event: Event) -> None:
        raise ValueError("broken")

    emit = make_emitter(broken)
    assert emit is not None
    emit(RATE_LIMITED)
    assert [record.message for record in caplog.records] == ["on_event raised"]


def test_the_log_listens_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """Beside the client's own listener, and at no other level."""
    received: list[Event] = []
    caplog.set_level(logging.DEBUG, "aioecs")
    emit = make_emitter(received.append)
    assert emit is not None
    emit(RATE_LIMITED)
    assert received == [RATE_LIMITED]
    assert [(record.levelname, record.message) for record in caplog.records] == [("DEBUG", repr(RATE_LIMITED))]


@pytest.mark.parametrize(
    ("what", "event"),
    [
        (Rejected(ThrottlingException("slow")), RequestThrottled(call=7, request_id=None, rate=2.0)),
        (
            Rejected(InvalidParameterException("no", request_id="r")),
            RequestRejected(call=7, request_id="r", code="InvalidParameterException"),
        ),
        (NotSent(ConnectionFailed("refused")), RequestNotSent(call=7, error="ConnectionFailed")),
        (Lost(AnswerLost("reset")), None),
        (BackoffEnded(), None),
    ],
)
def test_each_input_has_its_event(what: Any, event: Event | None) -> None:
    """By its kind, and without the text of its error."""
    assert event_of(7, what, 2.0) == event


def test_each_start_is_reported_once() -> None:
    """With its outcome, its instance, and no request."""
    received: list[Event] = []
    request = make_request(2)
    starts = [
        aioecs.StartResult(request=request, container_instance=instance, outcome=Outcome.NOT_SENT)
        for instance in request.container_instances
    ]
    emit_start_settled(received.append, starts)
    assert received == [
        StartSettled(outcome=Outcome.NOT_SENT, container_instance=instance, token="", task_arn=None)
        for instance in request.container_instances
    ]


# As their caller receives them ----------------------------------------------------------------------------------------


class Weather:
    """Starts what it is asked for, but late, or not at all, or without an answer; some hosts are full."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._reported = FakeStartTask(full=HOSTS[:3])

    async def __call__(self, request: aioecs.StartTaskRequest, sent_marker: SentMarker) -> Attempt[Any]:
        """Answer a StartTask."""
        await asyncio.sleep(self._random.choice((0.0, 0.0, 0.2)))
        sent_marker.body_started = True
        await asyncio.sleep(self._random.random() * 2)
        what = await self._reported(request, sent_marker)
        ends: list[Attempt[Any]] = [
            Lost(AnswerLost("reset")),
            Rejected(ThrottlingException("Rate exceeded")),
            Rejected(InvalidParameterException("no")),
        ]
        return self._random.choice([*ends, *[what] * 7])


async def nothing_seen(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    """Find nothing."""
    sent_marker.body_started = True
    return Answered(aioecs.ListTasksResponse(task_arns=()))


class Office:
    """A client under random faults, what its callers received, and what its listener did."""

    def __init__(self, client: aioecs.Client, rng: random.Random, received: list[Event]) -> None:
        self.client = client
        self.rng = rng
        self.received = received
        self.said: list[aioecs.StartResult] = []
        self.answered: Counter[Outcome] = Counter()

    def reported(self) -> Counter[Outcome]:
        """Count what callers received."""
        return Counter(start.outcome for start in self.said) + self.answered

    def observed(self) -> Counter[Outcome]:
        """Count the outcomes of events."""
        return Counter(event.outcome for event in self.received if isinstance(event, StartSettled))

    async def cancelled(self, work: Callable[[CancelToken], Any]) -> Any:
        """Do it, and cancel it at a random moment, by token or natively, once or twice; note the starts of an error."""
        token = CancelToken()
        task = asyncio.ensure_future(work(token))
        for _ in range(self.rng.randrange(3)):
            await asyncio.wait([task], timeout=self.rng.random() * 2)
            self.rng.choice((token.cancel, task.cancel))()
        try:
            return await task
        except aioecs.ECSError as error:
            self.said += error.starts
        except asyncio.CancelledError as error:
            truth = aioecs.find_start_error(error)
            assert truth is not None
            self.said += truth.starts
        return None

    async def one(self, ask: Any, count: int) -> None:
        """Ask for one request."""
        first = self.rng.randrange(40)
        request = aioecs.StartTaskRequest(task_definition="demo", container_instances=HOSTS[first : first + count])
        key = f"{first}-{count}" if first % 2 else None
        response = await self.cancelled(lambda token: ask.start_task(request, token, idempotency_key=key))
        if response is not None:
            self.answered.update({Outcome.STARTED: len(response.tasks), Outcome.REFUSED: len(response.failures)})

    async def many(self, **more: Any) -> None:
        """Start many requests, and note the report."""
        report = await self.cancelled(lambda token: self.client.start_tasks(requests(80, 20), token, **more))
        if report is not None:
            self.said += report.starts


def in_bad_weather(work: Callable[[Office], Any], seed: int) -> None:
    """Do it, and compare the listener's events with what callers received."""

    async def main() -> None:
        received: list[Event] = []
        transport = FakeTransport(start_task=Weather(seed), list_tasks=nothing_seen)
        clocks = Timeouts(settle=0.5, call=8)
        async with fake_client(transport, on_event=received.append, timeouts=clocks, max_in_flight=5) as client:
            office = Office(client, random.Random(seed), received)
            await work(office)
        assert office.observed() == +office.reported()
        assert len(office.observed()) > 2

    run_in_virtual_time(main())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batched", [False, True], ids=["client", "batch"])
def test_each_start_counts_once_as_its_caller_received_it(seed: int, batched: bool) -> None:
    """By an answer, an error or a cancel, also a second one that leaves it UNKNOWN before its end is known."""

    async def work(office: Office) -> None:
        async with office.client.batch() as batch, asyncio.TaskGroup() as group:
            for number in range(120):
                group.create_task(office.one(batch if batched else office.client, 1 + number % 12 if batched else 3))

    in_bad_weather(work, seed)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wait_for_capacity", [0.0, 3.0])
def test_a_report_adds_up(seed: int, wait_for_capacity: float) -> None:
    """The starts of a report are those of the events, also where some were sent again, cancelled or given up."""

    async def work(office: Office) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(office.many(wait_for_capacity=wait_for_capacity))

    in_bad_weather(work, seed)


@pytest.mark.parametrize("taken", [1, 25])
def test_a_stream_left_early(taken: int) -> None:
    """Starts that were never drawn are emitted as well, once settled: the counts are those of the batch."""

    async def main() -> None:
        received: list[Event] = []
        transport = FakeTransport(start_task=Weather(1), list_tasks=nothing_seen)
        async with fake_client(
            transport, on_event=received.append, timeouts=Timeouts(call=8), max_in_flight=2
        ) as client:
            async with client.batch() as batch, aclosing(batch.start_tasks(requests(60, 20))) as starts:
                for _ in range(taken):
                    await anext(starts)
            now = batch.statistics()
        settled = Counter(event.outcome.value for event in received if isinstance(event, StartSettled))
        assert settled == +Counter({outcome.value: getattr(now, outcome.value) for outcome in Outcome})
        assert settled.total() == now.requested == 60

    run_in_virtual_time(main())


async def test_placed_starts_count_once(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often they were moved: the events are those of the report."""
    monkeypatch.setattr(placement_stream, "MIN_REFRESH_INTERVAL", 0.02)
    received: list[Event] = []
    access: dict[str, Any] = {**local.client_kwargs()}
    async with aioecs.Client(**access, pacing=None, on_event=received.append) as client:
        local.engine.add_task_definition("big", cpu=1024, memory=1)
        await client.place_tasks(aioecs.StartTaskRequest(task_definition="big"), count=1)
        for host in local.instance_arns:
            local.engine.call("StartTask", {"taskDefinition": "big", "containerInstances": [host]})
        report = await client.place_tasks(aioecs.StartTaskRequest(task_definition="big"), count=40)
        with pytest.raises(StartCancelled) as caught:
            await client.place_tasks(aioecs.StartTaskRequest(task_definition="big"), _fired(), count=3)
    reported = Counter(start.outcome for start in (*report.starts, *caught.value.starts)) + Counter([Outcome.STARTED])
    assert Counter(event.outcome for event in received if isinstance(event, StartSettled)) == reported
    assert reported[Outcome.NOT_SENT] == 3
    assert reported[Outcome.REFUSED] > 0
    reasons = [reason for event in received if isinstance(event, RequestAnswered) for reason in event.reasons]
    assert len(reasons) > 0, "none was moved, so this shows nothing"


def _fired() -> CancelToken:
    token = CancelToken()
    token.cancel()
    return token


def test_an_error_without_starts() -> None:
    """Then what is known of them is emitted; an earlier call's error, in whose handling it came, is not."""
    received: list[Event] = []
    request = make_request(1)
    mine = aioecs.StartResult(request=request, container_instance="mine", outcome=Outcome.UNKNOWN)
    other = aioecs.StartResult(request=request, container_instance="other", outcome=Outcome.STARTED)
    for error in (KeyboardInterrupt(), aioecs.IdempotencyMismatch("used")):
        error.__context__ = StartCancelled("an earlier one", starts=(other,))
        with pytest.raises(type(error)), StartEvents(received.append, lambda: (mine,)):
            raise error
    assert [event.container_instance for event in received if isinstance(event, StartSettled)] == ["mine", "mine"]


# Batches -------------------------------------------------------------------------------------------------------------


def test_a_call_that_waits_for_its_permit() -> None:
    """A batch waits before its calls are made up, so its waits have no call; a call's own has."""

    async def main() -> list[RequestRateLimited]:
        received: list[Event] = []
        throttled = iter([True])

        async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            sent_marker.body_started = True
            if next(throttled, False):
                return Rejected(ThrottlingException("Rate exceeded"))
            return await started(request, sent_marker)

        pacing = Pacing(burst=1, rate=2)
        async with fake_client(FakeTransport(start_task=say), on_event=received.append, pacing=pacing) as client:
            await client.start_tasks([make_request(1, group=str(number)) for number in range(3)])
        return [event for event in received if isinstance(event, RequestRateLimited)]

    reported = run_in_virtual_time(main())
    assert [delayed.call is None for delayed in reported].count(True) >= 2
    assert any(delayed.call is not None for delayed in reported)
    assert all(delayed.waited == pytest.approx(0.5, abs=0.5) for delayed in reported)


def test_a_permit_that_is_free() -> None:
    """Asking for it takes some time too, which is no wait."""
    received: list[Event] = []
    emit_rate_limited(received.append, None, 0.0001)
    assert received == []
    emit_rate_limited(received.append, None, 0.5)
    assert received == [RequestRateLimited(call=None, waited=0.5)]


WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


@pytest.mark.parametrize("batched", [False, True], ids=["client", "batch"])
def test_emitted_in_the_context_of_its_caller(batched: bool) -> None:
    """A call is emitted in the context of its first caller; the others' contexts are in the event."""

    async def main() -> list[tuple[Event, str]]:
        received: list[tuple[Event, str]] = []

        def receive(event: Event) -> None:
            received.append((event, WHO.get()))

        async with fake_client(FakeTransport(), on_event=receive) as client, client.batch() as batch:

            async def ask(name: str) -> None:
                WHO.set(name)
                await (batch if batched else client).start_task(make_request(1))

            await asyncio.gather(ask("first"), ask("second"))
            await iterations(3)
        return received

    received = run_in_virtual_time(main())
    begun = [(event, who) for event, who in received if isinstance(event, CallBegun)]
    of_calls = {(event.call, who) for event, who in received if not isinstance(event, NotOfACall)}
    if batched:
        ((event, who),) = begun
        assert (who, [caller.run(WHO.get) for caller in event.callers]) == ("first", ["second"])
        assert {who for _, who in of_calls} == {"first"}
    else:
        assert [(who, event.callers) for event, who in begun] == [("first", ()), ("second", ())]
        assert len(of_calls) == 2
    assert [who for event, who in received if isinstance(event, StartSettled)] == ["first", "second"]


# Nobody listens ------------------------------------------------------------------------------------------------------


def test_nothing_is_made_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens no event is made, and no context is kept."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("made for nobody")

    for kind in get_args(Event):
        if hasattr(event_emitter, kind.__name__):
            monkeypatch.setattr(event_emitter, kind.__name__, forbidden)
    monkeypatch.setattr("aioecs._batch.engine.copy_context", forbidden)
    monkeypatch.setattr("aioecs._calls.call.CallEvents", forbidden)

    async def main(**settings: Any) -> int:
        transport = FakeTransport(start_task=Weather(3), list_tasks=nothing_seen)
        async with fake_client(transport, timeouts=Timeouts(call=8), **settings) as client, client.batch() as batch:
            report = await client.start_tasks(requests(60, 20))
            response = await batch.start_task(make_request(3))
            return len(report.starts) + len(response.tasks)

    assert run_in_virtual_time(main()) == 63
    with pytest.raises(AssertionError, match="made for nobody"):
        run_in_virtual_time(main(on_event=print))
