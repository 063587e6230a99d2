"""RunTask's response: what it raises where not every task was started."""

from __future__ import annotations

import pytest

import aioecs


def test_a_response_without_failures_raises_nothing() -> None:
    """Every task was started."""
    aioecs.RunTaskResponse(tasks=[aioecs.Task(task_arn="task/1")]).raise_for_failures()


def test_failures_are_raised_with_their_reasons() -> None:
    """The error names each reason, and has what was started."""
    failure = aioecs.Failure(reason="Capacity is unavailable at this time")
    response = aioecs.RunTaskResponse(tasks=[aioecs.Task(task_arn="task/1")], failures=[failure])
    with pytest.raises(aioecs.ECSError, match="Capacity is unavailable"):
        response.raise_for_failures()
