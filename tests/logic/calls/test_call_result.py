"""call_result: the response or the error of a call."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from aioecs import Failure, Outcome, Retries, StartResult, StartTaskRequest, StartTaskResponse, Task, Timeouts
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.call_result import cancelled, cancelled_of, describe_outcomes, result_of, result_of_starts
from aioecs._logic.calls.matching import StartState
from aioecs.errors import (
    AnswerLost,
    CallTimeout,
    ClientException,
    ConnectionFailed,
    ECSError,
    IdempotencyMismatch,
    StartCancelled,
    StartIncomplete,
    StartUnknown,
    ThrottlingException,
    is_retry_safe,
)

TASK = Task(task_arn="arn/task/1", container_instance_arn="arn/container-instance/c/a", desired_status="RUNNING")
DOUBLE = Task(task_arn="arn/task/2", container_instance_arn="arn/container-instance/c/a", desired_status="RUNNING")
FAILURE = Failure(arn="arn/container-instance/c/b", reason="RESOURCE:CPU")
REFUSAL = ClientException("TaskDefinition not found.", status=400)
THROTTLE = ThrottlingException("Rate exceeded", status=400)
UNSENT = ConnectionFailed("no connection")
LOST = AnswerLost("gone")

STARTED = StartState("a", task=TASK, ours=True)
STOPPED = StartState("a", task=TASK, ours=True, stopped=True)
REFUSED = StartState("b", failure=FAILURE)
REJECTED = StartState("c", error=REFUSAL)
OPEN = StartState("d")


def record(*start_states: StartState, **known: Any) -> CallRecord:
    """Make the record of a call that was sent once and has come to this."""
    call = CallRecord(
        request=StartTaskRequest(
            task_definition="demo", container_instances=[state.instance for state in start_states]
        ),
        token="aioecs-token",
        timeouts=Timeouts(),
        retries=Retries(),
        delivery="at_most_once",
        deadline=90.0,
        was_sent=True,
        sends=1,
    )
    call.start_states = [copied(state) for state in start_states]
    for name, value in known.items():
        setattr(call, name, value)
    return call


def copied(state: StartState) -> StartState:
    """Give each call slots of its own."""
    return attrs.evolve(state)


def test_a_plain_answer() -> None:
    """What started and what was refused for an instance are an answer, with the request's id, token and attempts."""
    answer = result_of(record(STARTED, REFUSED, sends=2), request_id="rid")
    expected = StartTaskResponse(tasks=[TASK], failures=[FAILURE], request_id="rid", token="aioecs-token", attempts=2)
    assert answer == expected


@pytest.mark.parametrize(
    "start_states",
    [(STARTED,), (STARTED, STARTED), (REFUSED,), (STOPPED,), (STARTED, STOPPED, REFUSED)],
    ids=str,
)
def test_what_is_known_for_each_is_an_answer(start_states: tuple[StartState, ...]) -> None:
    """Partial failures don't raise, nor do all of them failing."""
    answer = result_of(record(*start_states))
    assert isinstance(answer, StartTaskResponse)
    assert len(answer.tasks) + len(answer.failures) == len(start_states)


def test_adopted_without_a_send() -> None:
    """A call that found everything under its key has made no attempt."""
    answer = result_of(record(attrs.evolve(STARTED, ours=False), sends=0, was_sent=False))
    assert isinstance(answer, StartTaskResponse)
    assert answer.attempts == 0


@pytest.mark.parametrize(
    ("call", "kind", "text", "outcome", "retry_safe"),
    [
        pytest.param(
            record(REJECTED, error=REFUSAL), ClientException, "TaskDefinition not found.", Outcome.REFUSED, False,
            id="refused as a whole",
        ),
        pytest.param(
            record(REFUSED, REJECTED, error=REFUSAL), ClientException, "not found", Outcome.REFUSED, False,
            id="refused in two ways",
        ),
        pytest.param(
            record(REJECTED, error=REFUSAL, clock_ended=True), ClientException, "not found", Outcome.REFUSED, False,
            id="refused by an answer that came after the clock's end",
        ),
        pytest.param(
            record(OPEN, error=UNSENT), ConnectionFailed, "no connection", Outcome.NOT_SENT, True,
            id="never sent",
        ),
        pytest.param(
            record(OPEN), CallTimeout, r"^nothing was started in time$", Outcome.NOT_SENT, True,
            id="nothing went wrong, and time ran out",
        ),
        pytest.param(
            record(OPEN, error=THROTTLE, clock_ended=True), CallTimeout, r"in time \(ThrottlingException: Rate",
            Outcome.NOT_SENT, True, id="throttled until time ran out",
        ),
        pytest.param(
            record(OPEN, REFUSED, error=UNSENT, clock_ended=True), CallTimeout, "nothing was started in time",
            Outcome.REFUSED, True, id="refused and not sent",
        ),
        pytest.param(
            record(STARTED, REJECTED, error=REFUSAL), StartIncomplete, r"^1 started, 1 refused: ClientException: Task",
            Outcome.STARTED, False, id="refused after something is known to run",
        ),
        pytest.param(
            record(STARTED, OPEN, error=UNSENT), StartIncomplete, r"^1 started, 1 not sent: no connection",
            Outcome.STARTED, False, id="not sent after something is known to run",
        ),
        pytest.param(
            record(STARTED, OPEN, clock_ended=True), StartIncomplete, r"^1 started, 1 not sent$",
            Outcome.STARTED, False, id="time ran out after something was found",
        ),
        pytest.param(
            record(OPEN, ambiguous=True, error=LOST), StartUnknown,
            rf"^1 unknown; look up startedBy='aioecs-token' before starting it again \({LOST}\)$",
            Outcome.UNKNOWN, None, id="ambiguous",
        ),
        pytest.param(
            record(OPEN, ambiguous=True, error=LOST, lookup_error=UNSENT), StartUnknown,
            rf"before starting it again \({LOST}; the last lookup failed: no connection\)$",
            Outcome.UNKNOWN, None, id="ambiguous, and can't be looked up",
        ),
        pytest.param(
            record(OPEN, in_flight=True), StartUnknown, r"^1 unknown; look", Outcome.UNKNOWN, None,
            id="in flight still",
        ),
        pytest.param(
            record(OPEN, OPEN, STARTED, REFUSED, ambiguous=True, error=LOST), StartUnknown,
            r"^2 unknown, 1 started, 1 refused; look", Outcome.UNKNOWN, None, id="ambiguous beside others",
        ),
        pytest.param(
            record(STARTED, surplus=(DOUBLE,)), StartUnknown,
            r"^1 started; 1 more than requested run and could not be stopped; look up", Outcome.STARTED, None,
            id="a double that runs on",
        ),
    ],
)  # fmt: skip
def test_the_ways_out(
    call: CallRecord, kind: type[ECSError], text: str, outcome: Outcome, retry_safe: bool | None
) -> None:
    """Every result that isn't a response has its error, its message, its starts, and says whether to try again."""
    error = result_of(call)
    assert type(error) is kind
    assert isinstance(error, kind)
    with pytest.raises(kind, match=text):
        raise error
    assert error.outcome is outcome
    assert len(error.starts) == len(call.start_states)
    assert error.retry_safe is retry_safe
    assert is_retry_safe(error) is (retry_safe is True)


@pytest.mark.parametrize(
    ("call", "cause"),
    [
        (record(OPEN, ambiguous=True, error=LOST), LOST),
        (record(OPEN, error=THROTTLE, clock_ended=True), THROTTLE),
        (record(STARTED, REJECTED, error=REFUSAL), REFUSAL),
        (record(OPEN), None),
        (record(STARTED, OPEN), None),
    ],
)
def test_causes(call: CallRecord, cause: ECSError | None) -> None:
    """What went wrong last is the cause of what is raised; where nothing did there is none."""
    error = result_of(call)
    assert isinstance(error, ECSError)
    assert error.__cause__ is cause


def test_the_services_own_error_is_raised_as_it_came() -> None:
    """The service's own error is not wrapped where it says all; it carries the starts."""
    refusal = ClientException("no", status=400)
    error = result_of(record(attrs.evolve(REJECTED, error=refusal), error=refusal))
    assert error is refusal
    assert [start.error for start in refusal.starts] == [refusal]


def test_doubles_are_candidates_while_they_run() -> None:
    """A double is named; one that has ended by itself, or was never asked to run, is none."""
    error = result_of(record(STARTED, surplus=(DOUBLE, DOUBLE.replace(task_arn="3", desired_status="STOPPED"))))
    assert isinstance(error, StartUnknown)
    assert error.candidates == (DOUBLE,)
    assert isinstance(
        result_of(record(STARTED, surplus=(DOUBLE.replace(desired_status="STOPPED"),))), StartTaskResponse
    )


def test_candidates_of_the_callers_own_mark() -> None:
    """Where nothing is adopted on a guess, what may be ours is named."""
    error = result_of(record(OPEN, ambiguous=True, adopts=False, candidates=(TASK,)))
    assert isinstance(error, StartUnknown)
    assert error.candidates == (TASK,)
    assert error.token == "aioecs-token"


def test_a_mismatch_names_what_it_found() -> None:
    """A key that was used for something else: which definition, which instance, which task; nothing was sent."""
    found = TASK.replace(task_definition_arn="arn/task-definition/other:3")
    error = result_of(record(OPEN, was_sent=False, sends=0, mismatch=(found,)))
    assert isinstance(error, IdempotencyMismatch)
    assert str(error) == (
        "the key was used for something else: arn/task-definition/other:3 on instance a (arn/task/1); nothing was sent"
    )
    assert error.candidates == (found,)
    assert error.outcome is Outcome.NOT_SENT
    assert error.starts[0].token == ""
    assert error.retry_safe is False
    nameless = result_of(record(OPEN, was_sent=False, mismatch=(Task(),)))
    assert "for something else: None (None)" in str(nameless)


@pytest.mark.parametrize(
    ("call", "reason", "text"),
    [
        (record(STARTED), None, "cancelled: 1 started"),
        (record(STOPPED, REFUSED), "shutdown", "cancelled (shutdown): 1 stopped, 1 refused"),
        (record(OPEN, in_flight=True), "", "cancelled: 1 unknown"),
        (record(OPEN, was_sent=False), None, "cancelled: 1 not sent"),
    ],
)
def test_a_cancelled_caller(call: CallRecord, reason: str | None, text: str) -> None:
    """A cancelled caller gets the outcome known by then, why, and by what."""
    source = object()
    error = cancelled(call, reason, source)
    assert str(error) == text
    assert (error.reason, error.source, error.token) == (reason, source, "aioecs-token")
    assert error.starts == call.starts()
    assert error.__cause__ is None
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 our own
    assert isinstance(again, StartCancelled)
    assert (str(again), again.starts, again.source) == (text, error.starts, None)


def test_a_cancelled_caller_gets_the_cause_and_the_candidates() -> None:
    """What went wrong before the cancel is its cause; what may be ours is named."""
    error = cancelled(record(OPEN, ambiguous=True, error=LOST, candidates=(TASK,)), None, None)
    assert error.__cause__ is LOST
    assert error.candidates == (TASK,)


def test_outcomes_are_described_the_gravest_first() -> None:
    """Each outcome once, in the order of what there is to answer for."""
    call = record(OPEN, REFUSED, STOPPED, STARTED, OPEN, ambiguous=True)
    assert describe_outcomes(call.starts()) == "2 unknown, 1 started, 1 stopped, 1 refused"
    assert describe_outcomes(record(OPEN).starts()) == "1 not sent"
    assert describe_outcomes(()) == ""


# --------------------------------------------------------------------------------- of starts that shared their calls


def start(outcome: Outcome, instance: str = "a", **given: Any) -> StartResult:
    """Make a start that flew in a call with the token t, unless it is given otherwise."""
    request = StartTaskRequest(task_definition="demo", container_instances=[instance])
    in_flight: dict[str, Any] = {"token": "t", "attempts": 1, **given}
    return StartResult(request=request, container_instance=instance, outcome=outcome, **in_flight)


RUNS = start(Outcome.STARTED, task=TASK)
TURNED_AWAY = start(Outcome.REFUSED, "b", failure=FAILURE)
MAY_RUN = start(Outcome.UNKNOWN, "c", token="u", error=LOST)
STAYED = start(Outcome.NOT_SENT, "d", token="", attempts=0)
AMBIGUOUS = StartUnknown("theirs", starts=[MAY_RUN], token="u", candidates=[TASK, DOUBLE])
DOUBLED = StartUnknown("theirs", starts=[RUNS], token="t", candidates=[DOUBLE])


def test_an_answer_of_shared_calls() -> None:
    """What is known of each of the caller's own starts is an answer, with the most sends that any of them took."""
    answer = result_of_starts((RUNS, TURNED_AWAY, start(Outcome.STARTED, task=DOUBLE, attempts=3)), None)
    assert answer == StartTaskResponse(tasks=[TASK, DOUBLE], failures=[FAILURE], token="t", attempts=3)
    assert result_of_starts((), None) == StartTaskResponse(attempts=0)


def test_a_stopped_task_is_in_no_answer_of_shared_calls() -> None:
    """Its batch was cancelled, and not its caller: the caller receives the outcome of each start."""
    starts = (RUNS, start(Outcome.STOPPED, task=DOUBLE))
    cancelled = result_of_starts(starts, None)
    assert isinstance(cancelled, StartCancelled)
    assert cancelled.starts == starts
    assert str(cancelled).startswith("cancelled (its batch was cancelled): 1 started, 1 stopped")


@pytest.mark.parametrize(
    ("starts", "error", "kind", "text"),
    [
        pytest.param((MAY_RUN,), AMBIGUOUS, StartUnknown, "^1 unknown; look up startedBy='u'", id="ambiguous"),
        pytest.param(
            (RUNS, MAY_RUN), AMBIGUOUS, StartUnknown, "^1 unknown, 1 started; look up startedBy='u'",
            id="the token is that of the ambiguous call",
        ),
        pytest.param(
            (MAY_RUN, attrs.evolve(MAY_RUN, token="v"), MAY_RUN), None, StartUnknown,
            "^3 unknown; look up startedBy='u', 'v'", id="ambiguous in two calls",
        ),
        pytest.param(
            (RUNS,), DOUBLED, StartUnknown,
            "^1 started; 1 more than requested run and could not be stopped; look up .*'t'",
            id="a double that runs on",
        ),
        pytest.param((RUNS, STAYED), UNSENT, StartIncomplete, "^1 started, 1 not sent: no conn", id="incomplete"),
        pytest.param((RUNS, STAYED), None, StartIncomplete, "^1 started, 1 not sent$", id="incomplete, no reason"),
        pytest.param(
            (RUNS, start(Outcome.REFUSED, error=REFUSAL)), None, StartIncomplete, "1 refused: ClientException",
            id="refused beside one that runs",
        ),
        pytest.param((STAYED,), None, CallTimeout, "^nothing was started$", id="nothing, and no reason"),
        pytest.param((STAYED,), UNSENT, ConnectionFailed, "^no connection$", id="nothing, and why"),
        pytest.param(
            (start(Outcome.REFUSED, error=REFUSAL),), REFUSAL, ClientException, "not found", id="refused as a whole"
        ),
    ],
)  # fmt: skip
def test_the_ways_out_of_shared_calls(
    starts: tuple[StartResult, ...], error: ECSError | None, kind: type[ECSError], text: str
) -> None:
    """Each caller gets its own starts alone, with the message that a call of its own would have."""
    said = result_of_starts(starts, error)
    assert type(said) is kind
    assert isinstance(said, ECSError)
    with pytest.raises(kind, match=text):
        raise said
    assert said.starts == starts
    assert said is not error, "others receive the same error with their own starts"


def test_results_of_other_callers_are_left_out() -> None:
    """Candidates are those on the caller's own instances; others' ambiguous starts don't affect what is known."""
    assert isinstance(result_of_starts((RUNS,), AMBIGUOUS), StartTaskResponse)
    assert isinstance(result_of_starts((TURNED_AWAY,), DOUBLED), StartTaskResponse)
    for instance, expected in (("a", (TASK, DOUBLE)), ("c", ())):
        said = result_of_starts((attrs.evolve(MAY_RUN, container_instance=instance),), AMBIGUOUS)
        assert isinstance(said, StartUnknown)
        assert said.candidates == expected
        assert said.__cause__ is LOST


def test_a_shared_error_keeps_its_cause() -> None:
    """A copy of a call's error has the same cause."""
    shared = ConnectionFailed("no connection")
    shared.__cause__ = cause = OSError("beneath")
    said = result_of_starts((STAYED,), shared)
    assert isinstance(said, ConnectionFailed)
    assert said.__cause__ is cause
    assert shared.starts == ()


@pytest.mark.parametrize(
    ("starts", "reason", "text", "token"),
    [
        ((RUNS, STAYED), None, "cancelled: 1 started, 1 not sent", "t"),
        ((RUNS, MAY_RUN), "shutdown", "cancelled (shutdown): 1 unknown, 1 started", ""),
        ((STAYED,), None, "cancelled: 1 not sent", ""),
    ],
)
def test_a_cancelled_caller_of_shared_calls(
    starts: tuple[StartResult, ...], reason: str | None, text: str, token: str
) -> None:
    """It has its own starts; a token only where there is a single one."""
    source = object()
    error = cancelled_of(starts, reason, source)
    assert (str(error), error.starts, error.reason, error.source, error.token) == (text, starts, reason, source, token)
