"""What `aioecs run` says of how a run ended, and where a task may be."""

from __future__ import annotations

import json

import pytest

import aioecs
from aioecs import Outcome, StartResult
from aioecs.cli._access import Access
from aioecs.cli._options import UsageError
from aioecs.cli._run.messages import (
    ending,
    failure,
    failure_json,
    interrupted,
    is_unknown,
    result_json,
    where_it_may_be,
)
from aioecs.cli._start.options import StartOptions

ARN = "arn:aws:ecs:us-east-1:123456789012:task/c/86f70123456789abcdef0123456789ab"
TASK = aioecs.Task(task_arn=ARN)
REQUEST = aioecs.StartTaskRequest(task_definition="td")


def start(outcome: Outcome, **members: object) -> StartResult:
    """Return the result of a start."""
    given: dict[str, object] = {"request": REQUEST, "container_instance": "", "outcome": outcome} | members
    return StartResult(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("succeeded", "line"),
    [
        (True, "task 86f70123 succeeded after 1m12s"),
        (False, "task 86f70123 failed after 1m12s: it broke"),
        (None, "task 86f70123 unknown after 1m12s: it broke"),
    ],
)
def test_the_ending(succeeded: bool | None, line: str) -> None:
    """One line, with the reason unless it succeeded."""
    assert ending(aioecs.TaskResult(task=TASK, succeeded=succeeded, explanation="it broke"), 72).plain == line


def test_why_nothing_was_started() -> None:
    """ECS's reasons with their details and instances, or the error's own message."""
    failed = aioecs.Failure(arn="arn:x/host", reason="RESOURCE:CPU", detail="full")
    refused = aioecs.StartRefused("no", starts=[start(Outcome.REFUSED, failure=failed)])
    assert failure(refused) == "the task was not started: RESOURCE:CPU on host (full)"
    bare = aioecs.StartRefused("no", starts=[start(Outcome.REFUSED, failure=aioecs.Failure())])
    assert failure(bare) == "the task was not started: no reason given"
    assert failure(UsageError("what")) == "what"
    assert failure(aioecs.ConfigurationError("no region_name= given")) == "no --region given"


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (UsageError("x"), False),
        (aioecs.StartUnknown("x"), True),
        (aioecs.TaskMissing("x"), False),
        (aioecs.StartRefused("x", starts=[start(Outcome.REFUSED)]), False),
        (aioecs.StartRefused("x", starts=[start(Outcome.UNKNOWN)]), True),
    ],
)
def test_what_may_have_been_started(error: aioecs.ECSError | UsageError, unknown: bool) -> None:
    """An ambiguous start, or one that is known to have happened."""
    assert is_unknown(error) is unknown


def test_what_an_interrupt_left() -> None:
    """Each outcome has its message."""
    assert interrupted(Outcome.STOPPED, ARN).startswith("Interrupted: task 86f70123 was stopped")
    assert interrupted(Outcome.STARTED, ARN) == "Interrupted: task 86f70123 runs on"
    assert interrupted(Outcome.UNKNOWN, None) == "Interrupted: it is not known whether the task was started"
    assert len({interrupted(outcome, None) for outcome in Outcome}) == len(Outcome)


def test_where_a_task_may_be() -> None:
    """The command that stops it, or that finds it by its token or mark, at the same ECS."""
    there = StartOptions(cluster="c", access=Access(region="eu-west-1"))
    assert where_it_may_be(there, ARN, "t") == f"aioecs stop {ARN} --region eu-west-1"
    assert where_it_may_be(there, None, "t") == "aioecs tasks --cluster c --started-by t --region eu-west-1"
    marked = StartOptions(started_by="my mark")
    assert where_it_may_be(marked, None, "t") == "aioecs tasks --cluster default --started-by 'my mark'"
    assert where_it_may_be(there, None, "") is None
    assert where_it_may_be(StartOptions(local=True), ARN, "t") is None


def test_json() -> None:
    """A result has its task's members; a failure what is known."""
    line = json.loads(result_json(aioecs.TaskResult(task=TASK, succeeded=True, exit_code=0), 0, job="a"))
    assert (line["job"], line["task_arn"], line["succeeded"], line["exit_status"]) == ("a", ARN, True, 0)
    line = json.loads(failure_json(aioecs.StartUnknown("lost"), 123, None, "t"))
    assert (line["succeeded"], line["token"], line["exit_status"], line["error"]) == (None, "t", 123, "lost")
    line = json.loads(failure_json(aioecs.StartCancelled("x"), 130, ARN, "t", Outcome.STOPPED, job="b"))
    assert (line["job"], line["succeeded"], line["outcome"]) == ("b", False, "stopped")
