"""request_sender: a request that is sent in the step that begins its call, and what it takes a task for."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from fake_transport import FakeTransport, HeldAttempt, make_call, make_core, make_request, started, tasks_for
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import Outcome
from aioecs._calls.call import Call
from aioecs._logic.calls import call_state
from aioecs._logic.calls.call_record import CallRecord
from aioecs._model.attempt import Answered, Attempt, Rejected
from aioecs._model.call_events import RequestSent
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import Ended, SentMarker, Unfinished
from aioecs.errors import InvalidParameterException, StartUnknown

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


def tasks_of_the_loop() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


class ByHand:
    """A transport that begins each attempt and keeps what ends it."""

    endpoint_url, region, partition = "http://by-hand", "us-east-1", "aws"

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.ended: list[Ended] = []
        self.cuts = 0

    def begin(self, operation: Any, request: Any, sent_marker: SentMarker, ended: Ended) -> ByHand:
        sent_marker.begin_body()
        self.requests.append(request)
        self.ended.append(ended)
        return self

    def cut(self) -> None:
        self.cuts += 1

    def answer(self) -> Answered[Any]:
        """Return the answer to the last request: one task on each instance."""
        return Answered(aioecs.StartTaskResponse(tasks=tasks_for(self.requests[-1])), "request-1")


class Limiter:
    """A rate limiter that counts its permits; without `free` each takes a second."""

    rate = 1.0

    def __init__(self, *, free: bool) -> None:
        self.free = free
        self.taken = self.given_back = 0

    def try_acquire(self) -> float | None:
        if not self.free:
            return None
        self.taken += 1
        return 0.0

    async def acquire(self, urgency: int) -> float:
        await asyncio.sleep(1)
        self.taken += 1
        return 0.0

    def answered(self, at: float, throttled: bool) -> None:
        self.given_back += 1

    unsent = answered


def by_hand(**more: Any) -> tuple[ByHand, Call]:
    """Return a call on such a transport."""
    transport: Any = ByHand()
    return transport, make_call(make_core(transport, **more))


async def test_it_is_sent_in_the_step_that_begins_the_call_and_takes_no_task() -> None:
    """The answer ends the call in the step in which it arrives; permit and slot are given back."""
    transport, call = by_hand()
    core, before = call.core, tasks_of_the_loop()
    call.begin()
    assert len(transport.requests) == 1
    assert (tasks_of_the_loop(), len(core.background_tasks), core.concurrency.in_use) == (before, 1, 1)
    transport.ended[0](transport.answer())
    assert (call.ended, len(core.background_tasks), core.concurrency.in_use) == (True, 0, 0)
    answer = call.result()
    assert isinstance(answer, aioecs.StartTaskResponse)
    assert (len(answer.tasks), answer.request_id, answer.attempts) == (1, "request-1", 1)


@pytest.mark.parametrize("missing", ["permit", "slot", "connection"])
def test_what_has_to_be_awaited_is_awaited_in_a_task(missing: str) -> None:
    """Nothing is sent before it is there, and the permit is taken once."""

    async def main() -> None:
        transport = FakeTransport(begins=missing != "connection")
        limiter = Limiter(free=missing != "permit")
        core = make_core(transport, size=1, start_limiter=limiter)
        if missing == "slot":
            await core.concurrency.take(Priority.STOP)
        call = make_call(core)
        call.begin()
        assert transport.requests == []
        await iterations(3)
        if missing == "slot":
            assert transport.requests == []
            core.concurrency.release()
        await call.end_waiter()
        assert [start.outcome for start in call.record.starts()] == [Outcome.STARTED]
        assert (transport.names(), core.concurrency.in_use) == (["StartTask"], 0)
        assert (limiter.taken, limiter.given_back) == (1, 1)

    run_in_virtual_time(main())


async def test_the_answer_is_handled_in_the_context_of_the_caller() -> None:
    """Though it arrives in that of whoever opened the connection."""
    seen: list[str] = []
    transport, call = by_hand(on_settled=lambda *_: seen.append(WHO.get()))
    WHO.set("the caller")
    call.begin()
    call.outcome_undelivered()
    WHO.set("the opener")
    transport.ended[0](transport.answer())
    assert seen == ["the caller"]


async def test_an_unfinished_attempt_is_finished_in_a_task() -> None:
    """It keeps permit and slot until then, and a withdrawal meanwhile is not lost."""
    gate = asyncio.Event()
    for withdrawn, outcome in ((False, Outcome.STARTED), (True, Outcome.STOPPED)):
        gate.clear()
        fake = FakeTransport()
        transport, call = by_hand()
        call.core.transport.attempt = fake.attempt  # type: ignore[method-assign]  # of the stop

        async def finish(transport: ByHand = transport) -> Attempt[Any]:
            await gate.wait()
            return transport.answer()

        call.begin()
        transport.ended[0](Unfinished(finish))
        assert (call.ended, call.core.concurrency.in_use) == (False, 1)
        if withdrawn:
            call.withdraw("stop", "bored")
        await iterations(3)
        gate.set()
        await call.end_waiter()
        assert [start.outcome for start in call.record.starts()] == [outcome]
        assert call.core.concurrency.in_use == 0
        await iterations(2)
        assert len(call.core.background_tasks) == 0


async def test_bare_tasks_of_a_run_are_described_in_a_task() -> None:
    """ECS answers a repeated RunTask with the ARNs of tasks that have stopped."""
    bare = aioecs.Task(task_arn="arn:aws:ecs:us-east-1:123456789012:task/default/0a1b")
    whole = bare.replace(task_definition_arn="demo:1", last_status="STOPPED", started_by="aioecs-token")

    async def answered(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return Answered(aioecs.RunTaskResponse(tasks=[bare]))

    async def described(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return Answered(aioecs.DescribeTasksResponse(tasks=[whole]))

    core = make_core(FakeTransport(run_task=answered, describe_tasks=described))
    request = aioecs.RunTaskRequest(task_definition="demo", client_token="aioecs-token")
    given: Any = {"timeouts": core.timeouts, "retries": core.retries, "delivery": "at_most_once"}
    record = CallRecord(request=request, token="aioecs-token", deadline=core.now + 60, **given)
    call = Call(core, record, request, FakeTransport())  # type: ignore[arg-type]  # nothing is looked up
    call.begin()
    await call.end_waiter()
    assert [start.task.last_status for start in call.record.starts() if start.task is not None] == ["STOPPED"]


async def test_a_defect_in_handling_the_answer_ends_the_call_as_unknown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The transport that reports the answer is not troubled by it; the error is logged."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    transport, call = by_hand()
    call.begin()
    monkeypatch.setattr(call_state, "handle", broken)
    transport.ended[0](transport.answer())
    assert call.ended
    assert isinstance(call.result(), StartUnknown)
    assert "a bug" in caplog.text


async def test_an_interrupt_while_it_is_begun_loses_nothing() -> None:
    """A KeyboardInterrupt of a listener right after the send: the outcome goes to `on_settled`."""
    settled: list[Outcome] = []

    def emit(event: object) -> None:
        if isinstance(event, RequestSent):
            raise KeyboardInterrupt

    transport, call = by_hand(emit=emit, on_settled=lambda starts, _: settled.append(starts[0].outcome))
    with pytest.raises(KeyboardInterrupt):
        call.begin()
    transport.ended[0](transport.answer())
    assert settled == [Outcome.STARTED]


@pytest.mark.parametrize("drains", [True, False])
async def test_the_end_of_the_client_waits_for_it_and_then_ends_it(drains: bool) -> None:
    """Within its time to drain the answer still counts; after that the outcome is unknown."""
    transport, call = by_hand()
    call.begin()
    if drains:
        draining = asyncio.ensure_future(call.core.background_tasks.drained(60))
        await iterations(3)
        assert not draining.done()
        transport.ended[0](transport.answer())
        assert await draining
    else:
        assert not await call.core.background_tasks.drained(0.001)
        call.core.end()
        assert (transport.cuts, call.core.concurrency.in_use) == (1, 0)
    [start] = call.record.starts()
    assert (start.outcome, call.ended) == (Outcome.STARTED if drains else Outcome.UNKNOWN, True)


async def test_a_rejection_is_the_callers() -> None:
    """Nothing was started, and nothing is sent again."""
    transport, call = by_hand()
    call.begin()
    transport.ended[0](Rejected(InvalidParameterException("no such definition")))
    assert isinstance(call.result(), InvalidParameterException)
    assert len(transport.requests) == 1


async def test_a_throttled_request_is_sent_again_by_a_task() -> None:
    """The call goes on as any other."""
    answers = [Rejected(aioecs.ThrottlingException("Rate exceeded")), None]

    async def at_last(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        sent_marker.body_started = True
        return answers.pop(0) or await started(request, sent_marker)

    transport = FakeTransport(start_task=at_last)
    call = make_call(make_core(transport, retries=aioecs.Retries(initial_backoff=0.0)))
    call.begin()
    await call.end_waiter()
    assert [(start.outcome, start.attempts) for start in call.record.starts()] == [(Outcome.STARTED, 1)]
    assert transport.names() == ["StartTask", "StartTask"]


async def test_a_start_that_left_is_not_in_it() -> None:
    """Starts that were withdrawn before the send are left out, as in a task."""
    transport: Any = ByHand()
    call = make_call(make_core(transport), count=2)
    call.leave(0)
    call.begin()
    assert list(transport.requests[0].container_instances) == list(make_request(2).container_instances[1:])


async def test_a_hanging_attempt_ends_with_the_call_s_clock() -> None:
    """The connection is closed, and the call goes on with lookups: nothing is lost."""
    held = HeldAttempt()
    transport = FakeTransport(start_task=held)
    core = make_core(transport, timeouts=aioecs.Timeouts(call=0.01, settle=0.01))
    call = make_call(core)
    call.begin()
    await call.end_waiter()
    assert isinstance(call.result(), StartUnknown)
    await iterations(3)
    assert (held.cancelled, core.concurrency.in_use, len(core.background_tasks)) == (True, 0, 0)
