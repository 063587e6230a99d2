"""start_result: what a start came to."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import attrs
import pytest

from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.start_result import Outcome, StartResult, start_of
from aioecs.errors import ClientException, ECSError, ThrottlingException

START = StartResult(
    request=StartTaskRequest(task_definition="frame:42", container_instances=["0a1b"]),
    container_instance="0a1b",
    outcome=Outcome.REFUSED,
    error=ClientException("no"),
    token="aioecs-1",
    attempts=2,
)


def test_there_are_five_outcomes() -> None:
    """Every start ends as exactly one of them; each is a string that reads as it is."""
    assert [str(outcome) for outcome in Outcome] == ["not_sent", "refused", "stopped", "started", "unknown"]


def test_severity_orders_them() -> None:
    """UNKNOWN > STARTED > STOPPED > REFUSED > NOT_SENT."""
    grave_first = [Outcome.UNKNOWN, Outcome.STARTED, Outcome.STOPPED, Outcome.REFUSED, Outcome.NOT_SENT]
    assert all(graver.severity > lesser.severity for graver, lesser in pairwise(grave_first))
    assert (Outcome.NOT_SENT.severity, Outcome.UNKNOWN.severity) == (0, 4)


def test_a_start_without_more_than_it_needs() -> None:
    """What is not known of a start is None, empty or nought."""
    start = StartResult(request=START.request, container_instance="0a1b", outcome=Outcome.NOT_SENT)
    assert (start.task, start.failure, start.error) == (None, None, None)
    assert (start.token, start.attempts, start.siblings_found) == ("", 0, False)


def test_starts_are_equal_whatever_their_errors() -> None:
    """Two tellings of one start are equal: errors are never equal to each other, so they don't count."""
    assert attrs.evolve(START, error=ThrottlingException("Rate exceeded")) == START
    assert attrs.evolve(START, attempts=3) != START


def test_a_start_is_frozen() -> None:
    """A result can't be changed by whoever receives it."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        START.outcome = Outcome.STARTED  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_start_survives_pickle_and_copy() -> None:
    """A start may be sent to another process."""
    twin = pickle.loads(pickle.dumps(START))  # noqa: S301 our own value, not anyone's data
    assert twin == START == copy.deepcopy(START) == copy.copy(START)
    assert (type(twin.error), str(twin.error)) == (ClientException, "ClientException: no")


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_start_put_together_is_a_start() -> None:
    """Slot by slot it is what the class itself makes, with every member in its place."""
    failure, error = Failure(reason="AGENT"), ECSError("said")
    asked = StartTaskRequest(task_definition="demo", container_instances=["0a1b"])
    made = start_of(asked, "0a1b", Outcome.REFUSED, Task(task_arn="arn"), failure, error, "token", 3, True, True, NOON)
    given: dict[str, Any] = {
        "request": asked,
        "container_instance": "0a1b",
        "outcome": Outcome.REFUSED,
        "task": Task(task_arn="arn"),
        "failure": failure,
        "error": error,
        "token": "token",
        "attempts": 3,
        "siblings_found": True,
        "found": True,
        "settles_by": NOON,
    }
    assert [field.name for field in attrs.fields(StartResult)] == list(given)
    assert attrs.asdict(made, recurse=False) == given
    assert made == StartResult(**given)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.token = "other"  # type: ignore[misc]
