"""aioecs._run.telling: events on their way out, and what of a call's life makes one."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from run_world import INSTANCES, ToldDesk, ToldPort, a_call, a_core, a_request, leaping, tasks_for

import aioecs
from aioecs import Outcome
from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._model.events import (
    CallSettled,
    Event,
    LookedUp,
    RequestAnswered,
    RequestPaced,
    RequestRefused,
    RequestSent,
    RequestThrottled,
    RequestUnsent,
    StartBegun,
    StartInDoubt,
    StartSettled,
    TaskAdopted,
)
from aioecs._plan.acts import Rested
from aioecs._run.telling import event_of, tell_settled, teller
from aioecs._wire.port import Witness
from aioecs.errors import AnswerLost, ConnectionFailed, InvalidParameterException, ThrottlingException

PACED = RequestPaced(call=1, waited=0.5)


def told_by(port: ToldPort, desk: ToldDesk | None = None) -> tuple[list[Event], tuple[Outcome, ...]]:
    """Carry a call out, and return what was told of it and what its starts came to."""
    events: list[Event] = []

    async def main() -> tuple[Outcome, ...]:
        call = a_call(a_core(port, tell=events.append), desk)
        call.begin()
        await call.end_or()
        return tuple(start.outcome for start in call.record.starts())

    return events, leaping(main())


def test_a_start_that_was_throttled_lost_looked_up_and_adopted() -> None:
    """The events say just that, in order, each with the number of the call."""
    attempts: list[Attempt[Any]] = [Rejected(ThrottlingException("Rate exceeded")), Lost(AnswerLost("reset"))]

    async def say(request: Any, witness: Witness) -> Attempt[Any]:
        witness.on_wire = True
        return attempts.pop(0)

    events, outcomes = told_by(ToldPort(start_task=say), ToldDesk(tasks_for(a_request(started_by="aioecs-token"))))
    assert [type(event) for event in events] == [
        StartBegun,
        RequestSent,
        RequestThrottled,
        RequestSent,
        StartInDoubt,
        LookedUp,
        TaskAdopted,
        CallSettled,
    ]
    assert len({event.call for event in events if not isinstance(event, StartSettled)}) == 1
    assert isinstance(last := events[-1], CallSettled)
    assert last.outcomes == outcomes == (Outcome.STARTED,)
    assert isinstance(adopted := events[-2], TaskAdopted)
    assert adopted.task_arns == last.task_arns
    assert isinstance(sent := events[1], RequestSent)
    assert sent.instances == INSTANCES[:1]


def test_an_answer_that_does_not_tell_of_all_is_a_doubt() -> None:
    """It is told as an answer, and then as the doubt that it leaves."""

    async def nothing(request: Any, witness: Witness) -> Attempt[Any]:
        witness.on_wire = True
        return Answered(aioecs.StartTaskResponse(), "request-1")

    events, outcomes = told_by(ToldPort(start_task=nothing), ToldDesk())
    assert [type(event) for event in events[:4]] == [StartBegun, RequestSent, RequestAnswered, StartInDoubt]
    assert outcomes == (Outcome.UNKNOWN,)


def test_nobody_listens() -> None:
    """Then there is nothing to call, and a call tells nothing."""
    assert teller(None) is None


def test_a_listener_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """And hurts nothing."""

    def broken(event: Event) -> None:
        raise ValueError("broken")

    tell = teller(broken)
    assert tell is not None
    tell(PACED)
    assert [record.message for record in caplog.records] == ["on_event raised"]


def test_the_log_listens_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """Beside the client's own listener, and at no other level."""
    heard: list[Event] = []
    caplog.set_level(logging.DEBUG, "aioecs")
    tell = teller(heard.append)
    assert tell is not None
    tell(PACED)
    assert heard == [PACED]
    assert [(record.levelname, record.message) for record in caplog.records] == [("DEBUG", repr(PACED))]


@pytest.mark.parametrize(
    ("what", "event"),
    [
        (Rejected(ThrottlingException("slow")), RequestThrottled(call=7, request_id=None, rate=2.0)),
        (
            Rejected(InvalidParameterException("no", request_id="r")),
            RequestRefused(call=7, request_id="r", code="InvalidParameterException"),
        ),
        (NotSent(ConnectionFailed("refused")), RequestUnsent(call=7, error="ConnectionFailed")),
        (Lost(AnswerLost("reset")), None),
        (Rested(), None),
    ],
)
def test_what_happened_is_an_event(what: Any, event: Event | None) -> None:
    """By its kind, and without the text of its error."""
    assert event_of(7, what, 2.0) == event


def test_each_start_is_told_once() -> None:
    """With its outcome, its instance, and no request."""
    heard: list[Event] = []
    request = a_request(2)
    starts = [
        aioecs.Start(request=request, container_instance=instance, outcome=Outcome.NOT_SENT)
        for instance in request.container_instances
    ]
    tell_settled(heard.append, starts)
    assert heard == [
        StartSettled(outcome=Outcome.NOT_SENT, container_instance=instance, token="", task_arn=None)
        for instance in request.container_instances
    ]
