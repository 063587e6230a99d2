"""call_record: what is known of a call, at any time."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs import Failure, Outcome, Retries, StartTaskRequest, Task, Timeouts
from aioecs._logic.calls.call_record import CallRecord, Phase
from aioecs._logic.calls.matching import StartState
from aioecs.errors import AnswerLost, ClientException

LOST = AnswerLost("gone")
REFUSAL = ClientException("no")


def task(arn: str, desired: str | None = "RUNNING") -> Task:
    """Make a task as ECS would show it."""
    return Task(task_arn=arn, desired_status=desired)


def record(*start_states: StartState, **known: Any) -> CallRecord:
    """Make a record with these starts, and what else is known."""
    call = CallRecord(
        request=StartTaskRequest(task_definition="demo", container_instances=["a", "b", "b"]),
        token="token",
        timeouts=Timeouts(consistency=30),
        retries=Retries(),
        delivery="at_most_once",
        deadline=90.0,
    )
    if start_states:
        call.start_states = list(start_states)
    for name, value in known.items():
        setattr(call, name, value)
    return call


def test_a_new_call() -> None:
    """One open start per instance, repeats counted; nothing is sent, ambiguous or owed."""
    call = record()
    assert [state.instance for state in call.start_states] == ["a", "b", "b"]
    assert call.open == call.start_states
    assert call.phase is Phase.READY
    assert not call.is_ambiguous
    assert call.tasks_to_stop == ()
    assert [(start.container_instance, start.outcome, start.token) for start in call.starts()] == [
        ("a", Outcome.NOT_SENT, ""),
        ("b", Outcome.NOT_SENT, ""),
        ("b", Outcome.NOT_SENT, ""),
    ]


@pytest.mark.parametrize(
    ("state", "known", "outcome"),
    [
        (StartState("a"), {}, Outcome.NOT_SENT),
        (StartState("a"), {"was_sent": True}, Outcome.NOT_SENT),
        (StartState("a"), {"in_flight": True}, Outcome.UNKNOWN),
        (StartState("a"), {"ambiguous": True}, Outcome.UNKNOWN),
        (StartState("a", task=task("1")), {}, Outcome.STARTED),
        (StartState("a", task=task("1")), {"ambiguous": True}, Outcome.STARTED),
        (StartState("a", task=task("1", "STOPPED")), {}, Outcome.STARTED),
        (StartState("a", task=task("1"), stopped=True), {}, Outcome.STOPPED),
        (StartState("a", failure=Failure(reason="AGENT")), {"ambiguous": True}, Outcome.REFUSED),
        (StartState("a", error=REFUSAL), {"in_flight": True}, Outcome.REFUSED),
        (StartState("a", dropped=True), {"in_flight": True, "ambiguous": True}, Outcome.NOT_SENT),
    ],
)
def test_outcomes(state: StartState, known: dict[str, Any], outcome: Outcome) -> None:
    """What is known of one start decides first; an open start is unknown while in flight or ambiguous."""
    (start,) = record(state, **known).starts()
    assert start.outcome is outcome
    assert (start.task, start.failure) == (state.task, state.failure)


@pytest.mark.parametrize(
    ("state", "known", "error"),
    [
        (StartState("a", error=REFUSAL), {"error": LOST}, REFUSAL),
        (StartState("a"), {"error": LOST, "ambiguous": True}, LOST),
        (StartState("a"), {"error": LOST}, LOST),
        (StartState("a", task=task("1")), {"error": LOST}, None),
        (StartState("a", failure=Failure()), {"error": LOST}, None),
    ],
)
def test_what_went_wrong_with_a_start(state: StartState, known: dict[str, Any], error: object) -> None:
    """Its own refusal, or what went wrong last where it is open; what is known has no error of the call's."""
    (start,) = record(state, **known).starts()
    assert start.error is error


@pytest.mark.parametrize(
    ("state", "known", "token"),
    [
        (StartState("a"), {}, ""),
        (StartState("a"), {"in_flight": True}, "token"),
        (StartState("a"), {"was_sent": True}, "token"),
        (StartState("a", task=task("1")), {}, "token"),
        (StartState("a", error=REFUSAL), {}, ""),
    ],
)
def test_a_token_is_reported_where_a_task_may_have_it(state: StartState, known: dict[str, Any], token: str) -> None:
    """What was never sent and never found has no token to look up."""
    (start,) = record(state, **known).starts()
    assert start.token == token


def test_siblings() -> None:
    """An ambiguous start whose siblings were found says so; nothing else does."""
    call = record(
        StartState("a", task=task("1")), StartState("b"), StartState("b", failure=Failure()), ambiguous=True, sends=2
    )
    assert [start.siblings_found for start in call.starts()] == [False, True, False]
    assert not any(start.siblings_found for start in record(ambiguous=True).starts())
    assert [start.attempts for start in call.starts()] == [2, 2, 2]


@pytest.mark.parametrize(
    ("start_states", "known", "ambiguous_call"),
    [
        ([StartState("a")], {"ambiguous": True}, True),
        ([StartState("a")], {"ambiguous": False}, False),
        ([StartState("a", task=task("1"))], {"ambiguous": True}, False),
        ([StartState("a", task=task("1"))], {"resent": True}, True),
        ([StartState("a", task=task("1")), StartState("b")], {"ambiguous": True}, True),
    ],
)
def test_whether_a_lookup_can_find_more(
    start_states: list[StartState], known: dict[str, Any], ambiguous_call: bool
) -> None:
    """Open starts that may run, or doubles that may yet show."""
    assert record(*start_states, **known).is_ambiguous is ambiguous_call


@pytest.mark.parametrize(
    ("known", "ends"),
    [
        ({}, 90.0),
        ({"scope_deadline": 5.0}, 5.0),
        ({"final_deadline": 4.0, "scope_deadline": 5.0}, 4.0),
        ({"deadline": 1.0}, 1.0),
    ],
)
def test_the_earliest_end_counts(known: dict[str, Any], ends: float) -> None:
    """The call's clock, an enclosing scope's, and the loop's."""
    assert record(**known).ends == ends


def test_when_absence_begins_to_prove_something() -> None:
    """`consistency` seconds after the last attempt ended."""
    assert record(ended=7.0).proves_absence_from == 37.0


@pytest.mark.parametrize(
    ("state", "resent", "sent"),
    [
        (StartState("a"), False, True),
        (StartState("a", left=True), False, False),
        (StartState("a", left=True), True, True),
        (StartState("a", task=task("1")), False, False),
        (StartState("a", failure=Failure(), left=True), False, False),
    ],
)
def test_what_goes_on_the_wire(state: StartState, resent: bool, sent: bool) -> None:
    """Open starts are sent; a withdrawn one is dropped, unless it was sent before: then it is ambiguous."""
    call = record(state, StartState("b"), resent=resent)
    known = state.known
    assert call.freeze() == (("a", "b") if sent else ("b",))
    assert state.dropped == (not sent and not known)


OURS = StartState("a", task=task("1"), ours=True)
FOUND = StartState("b", task=task("2"))
ENDED = StartState("b", task=task("3", "STOPPED"), ours=True)
DOUBLE, ENDED_DOUBLE = task("8"), task("9", "STOPPED")


@pytest.mark.parametrize(
    ("known", "tasks_to_stop"),
    [
        pytest.param({}, "", id="nothing unasked"),
        pytest.param({"withdrawal": "keep"}, "", id="settle leaves it running"),
        pytest.param({"withdrawal": "abandon"}, "", id="so does abandon"),
        pytest.param({"withdrawal": "stop"}, "13", id="all that this call started, what has ended already too"),
        pytest.param({"withdrawal": "stop", "tried_to_stop": frozenset("1")}, "3", id="each once"),
        pytest.param({"surplus": (DOUBLE, ENDED_DOUBLE)}, "8", id="doubles that run"),
        pytest.param({"surplus": (DOUBLE,), "withdrawal": "stop"}, "138", id="both"),
        pytest.param({"surplus": (DOUBLE,), "tried_to_stop": frozenset("8")}, "", id="a double that was tried"),
    ],
)
def test_what_is_owed(known: dict[str, Any], tasks_to_stop: str) -> None:
    """Withdrawn with "stop": what this call started itself, never what it found; at any time: what is one too many."""
    call = record(OURS, FOUND, ENDED, StartState("c"), **known)
    assert "".join(one.task_arn or "" for one in call.tasks_to_stop) == tasks_to_stop
