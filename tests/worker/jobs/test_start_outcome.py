"""What a response or an error of ECS means for a job."""

from __future__ import annotations

import itertools

import pytest

import aioecs
from aioecs import Failure, Outcome, StartResult, StartTaskRequest, StartTaskResponse, Task
from aioecs.errors import AccessDeniedException, InvalidRequest, StartCancelled, StartIncomplete, StartUnknown
from aioecs.worker._jobs.decisions import (
    IntentAction,
    JobOutcome,
    MessageAction,
    decide,
)
from aioecs.worker._jobs.start_outcome import outcome_of_error, outcome_of_response

REQUEST = StartTaskRequest(task_definition="demo", container_instances=["i"])


def a_start(outcome: Outcome, reason: str = "", error: aioecs.ECSError | None = None) -> StartResult:
    """Make a start that came to this."""
    task = Task(task_arn=f"arn-{outcome}") if outcome in (Outcome.STARTED, Outcome.STOPPED) else None
    failure = Failure(arn="i", reason=reason) if reason else None
    return StartResult(
        request=REQUEST, container_instance="i", outcome=outcome, task=task, failure=failure, error=error
    )


def cancelled(*outcomes: Outcome) -> StartCancelled:
    return StartCancelled("cancelled", starts=[a_start(outcome) for outcome in outcomes])


@pytest.mark.parametrize(
    ("reasons", "tasks", "outcome"),
    [
        ([], 2, JobOutcome.STARTED),
        (["RESOURCE:MEMORY"], 0, JobOutcome.NO_CAPACITY),
        (["AGENT", "RESOURCE:CPU"], 0, JobOutcome.NO_CAPACITY),
        (["MISSING"], 0, JobOutcome.REFUSED),
        (["INACTIVE"], 0, JobOutcome.REFUSED),
        (["ATTRIBUTE"], 0, JobOutcome.REFUSED),
        (["LOCATION"], 0, JobOutcome.REFUSED),
        (["A NEW ONE"], 0, JobOutcome.REFUSED),
        (["RESOURCE:CPU", "MISSING"], 0, JobOutcome.REFUSED),
        (["RESOURCE:CPU"], 1, JobOutcome.PARTLY_STARTED),
        (["MISSING"], 1, JobOutcome.PARTLY_REFUSED),
    ],
)
def test_the_outcome_of_a_response(reasons: list[str], tasks: int, outcome: JobOutcome) -> None:
    """A refusal for now differs from a final one, and both from what started."""
    answer = StartTaskResponse(
        tasks=[Task(task_arn=f"arn{n}") for n in range(tasks)],
        failures=[Failure(arn="i", reason=reason) for reason in reasons],
    )
    found = outcome_of_response(answer)
    assert found.outcome is outcome
    assert len(found.arns) == tasks
    assert found.proven is (not tasks)


def an_error(code: str) -> aioecs.ECSError:
    error = aioecs.errors.service_error(code, "expected", status=400)
    error.starts = (a_start(Outcome.REFUSED, error=error),)
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InvalidRequest("a", "b"), JobOutcome.INVALID),
        (an_error("ClientException"), JobOutcome.REFUSED),
        (an_error("ClusterNotFoundException"), JobOutcome.REFUSED),
        (an_error("AccessDeniedException"), JobOutcome.FORBIDDEN),
        (an_error("ExpiredTokenException"), JobOutcome.FORBIDDEN),
        (aioecs.ConfigurationError("no credentials"), JobOutcome.FORBIDDEN),
        (an_error("ThrottlingException"), JobOutcome.NOT_SENT),
        (aioecs.ConnectionFailed("no"), JobOutcome.NOT_SENT),
        (aioecs.CallTimeout("late", starts=[a_start(Outcome.NOT_SENT)]), JobOutcome.NOT_SENT),
        (aioecs.IdempotencyMismatch("other", starts=[a_start(Outcome.NOT_SENT)]), JobOutcome.MISMATCH),
        (StartUnknown("?", starts=[a_start(Outcome.UNKNOWN)]), JobOutcome.UNKNOWN),
        (aioecs.AnswerLost("no starts reported"), JobOutcome.UNKNOWN),
        (
            StartIncomplete("!", starts=[a_start(Outcome.STARTED), a_start(Outcome.REFUSED)]),
            JobOutcome.PARTLY_STARTED,
        ),
        (cancelled(Outcome.NOT_SENT), JobOutcome.WITHDRAWN),
        (cancelled(Outcome.STARTED), JobOutcome.STARTED),
        (cancelled(Outcome.STARTED, Outcome.NOT_SENT), JobOutcome.PARTLY_STARTED),
        (cancelled(Outcome.NOT_SENT, Outcome.UNKNOWN), JobOutcome.UNKNOWN),
        (StartCancelled("!", starts=[a_start(Outcome.REFUSED, "RESOURCE:CPU")]), JobOutcome.WITHDRAWN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_outcome_of_an_error(error: aioecs.ECSError, outcome: JobOutcome) -> None:
    """By its starts first, then by its kind."""
    assert outcome_of_error(error).outcome is outcome


@pytest.mark.parametrize("outcomes", list(itertools.product(Outcome, repeat=2)))
def test_an_intent_is_released_only_where_nothing_started(outcomes: tuple[Outcome, ...]) -> None:
    """Of every pair of outcomes, under every error that has starts."""
    for kind in (StartCancelled, StartIncomplete, StartUnknown, aioecs.CallTimeout):
        found = outcome_of_error(kind("!", starts=[a_start(outcome) for outcome in outcomes]))
        done = decide(found.outcome, inherited=False, proven=found.proven)
        may_run = bool({Outcome.STARTED, Outcome.STOPPED, Outcome.UNKNOWN} & set(outcomes))
        assert (done.intent is IntentAction.RELEASE) is not may_run
        assert (done.action is MessageAction.DELETE) is (set(outcomes) == {Outcome.STARTED})


def test_why_ecs_refused() -> None:
    """Each reason once, and for the log with the instance; of thousands some."""
    arn = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/4b6d"
    failures = [Failure(arn=arn, reason="RESOURCE:CPU"), Failure(arn="i2", reason="MISSING"), Failure()]
    found = outcome_of_response(StartTaskResponse(failures=failures))
    assert found.reasons == ("RESOURCE:CPU", "MISSING", "")
    assert found.why == "RESOURCE:CPU on 4b6d, MISSING on i2, no reason"
    starts = [a_start(Outcome.REFUSED, "AGENT")]
    assert outcome_of_error(StartIncomplete("refused", starts=starts)).why == "AGENT on i"
    many = outcome_of_response(StartTaskResponse(failures=failures[:1] * 1000))
    assert many.why.endswith("RESOURCE:CPU on 4b6d and 990 more")
    assert outcome_of_error(AccessDeniedException("no", code="AccessDeniedException")).reasons == (
        "AccessDeniedException",
    )
