"""capacity_refusal: what passes when capacity comes is on the list; every other reason is final."""

from __future__ import annotations

import pytest

from aioecs import Failure, Outcome, RunTaskRequest, StartResult
from aioecs._logic.sending.capacity_refusal import passes_with_capacity
from aioecs.errors import AccessDeniedException, ClientException, ECSError

REQUEST = RunTaskRequest(task_definition="demo")


def refused(reason: str | None = None, error: ECSError | None = None) -> StartResult:
    """Make a start that was refused by a failure or by an error."""
    failure = Failure(reason=reason) if error is None else None
    return StartResult(request=REQUEST, container_instance="", outcome=Outcome.REFUSED, failure=failure, error=error)


@pytest.mark.parametrize(
    ("reason", "passes"),
    [
        ("RESOURCE:CPU", True),
        ("RESOURCE:ENI", True),
        ("AGENT", True),
        ("Capacity is unavailable at this time. Please try again later or in a different availability zone", True),
        ("You've reached the limit on the number of tasks you can run concurrently", True),
        ("No Container Instances were found in your capacity provider", True),
        ("We currently do not have sufficient capacity: insufficient capacity", True),
        ("ATTRIBUTE", False),
        ("MemberOf placement constraint unsatisfied.", False),
        ("MISSING", False),
        ("A reason that nobody has seen", False),
        ("", False),
        (None, False),
    ],
)
def test_reasons(reason: str | None, passes: bool) -> None:
    """By their code, or by their prose."""
    assert passes_with_capacity(refused(reason)) is passes


def test_errors() -> None:
    """ECS says some of it with an error."""
    said = "Capacity is unavailable at this time."
    assert passes_with_capacity(refused(error=ClientException(said)))
    assert not passes_with_capacity(refused(error=ClientException("TaskDefinition not found.")))
    assert not passes_with_capacity(refused(error=AccessDeniedException(said)))


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.REFUSED])
def test_what_was_not_refused_is_not_retried(outcome: Outcome) -> None:
    """Whatever else is said of it."""
    start = StartResult(request=REQUEST, container_instance="", outcome=outcome, failure=Failure(reason="RESOURCE:CPU"))
    assert not passes_with_capacity(start)
