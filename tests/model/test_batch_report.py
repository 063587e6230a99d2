"""batch_report: what many starts came to."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from aioecs._model.batch_report import BatchReport, Statistics
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs.errors import ClientException, ConnectionFailed, StartError, StartRefused, StartUnknown

REQUEST = StartTaskRequest(task_definition="frame:42", container_instances=["0a1b"])
TASK, ENDED = Task(task_arn="task/1"), Task(task_arn="task/2")


def start(outcome: Outcome, instance: str, **members: Any) -> StartResult:
    return StartResult(request=REQUEST, container_instance=instance, outcome=outcome, **members)


STARTED = start(Outcome.STARTED, "i-1", task=TASK, token="t-1")
REFUSED = start(Outcome.REFUSED, "i-2", failure=Failure(reason="AGENT"), token="t-1")
SILENT = start(Outcome.REFUSED, "i-3", failure=Failure(), token="t-1")
DENIED = start(Outcome.REFUSED, "i-4", error=ClientException("no"), token="t-2")
NOT_SENT = start(Outcome.NOT_SENT, "i-5", error=ConnectionFailed("refused"))
UNSENT = start(Outcome.NOT_SENT, "i-6")
STOPPED = start(Outcome.STOPPED, "i-7", task=ENDED, token="t-3")
UNKNOWN = start(Outcome.UNKNOWN, "i-8", token="t-4")
STARTS = (STARTED, REFUSED, SILENT, DENIED, NOT_SENT, UNSENT, STOPPED, UNKNOWN)
REPORT = BatchReport(starts=STARTS, statistics=Statistics(requested=8, started=1, refused=3, not_sent=2, unknown=1))


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("started", (STARTED,)),
        ("refused", (REFUSED, SILENT, DENIED)),
        ("not_sent", (NOT_SENT, UNSENT)),
        ("stopped", (STOPPED,)),
        ("unknown", (UNKNOWN,)),
    ],
)
def test_starts_by_outcome(name: str, starts: tuple[StartResult, ...]) -> None:
    """Each start is in the list of its outcome, in the order of the requests, and in no other."""
    assert getattr(REPORT, name) == starts


def test_tasks_are_those_that_run() -> None:
    """A task that we stopped is not among them, nor is a start that named none."""
    assert REPORT.tasks == (TASK,)
    assert BatchReport(starts=(start(Outcome.STARTED, "i-9"),), statistics=Statistics()).tasks == ()


def test_a_report_of_starts_alone_raises_nothing() -> None:
    """Where all started, or nothing was asked, there is nothing to raise."""
    BatchReport(starts=(STARTED, STARTED), statistics=Statistics()).raise_for_failures()
    BatchReport(starts=(), statistics=Statistics()).raise_for_failures()


def test_every_failure_is_raised_together() -> None:
    """One error per start that did not end as STARTED, its own where it has one."""
    with pytest.raises(ExceptionGroup) as caught:
        REPORT.raise_for_failures()
    assert caught.value.message == "7 of 8 starts failed"
    assert [(type(error), str(error)) for error in caught.value.exceptions] == [
        (StartRefused, "i-2: AGENT"),
        (StartRefused, "i-3: no reason given"),
        (ClientException, "ClientException: no"),
        (ConnectionFailed, "refused"),
        (StartRefused, "i-6: not sent"),
        (StartRefused, "i-7: stopped"),
        (StartUnknown, "i-8: unknown"),
    ]


def test_an_error_made_for_a_start_names_it() -> None:
    """It carries the start, and the token to look it up by."""
    with pytest.raises(ExceptionGroup) as caught:
        REPORT.raise_for_failures()
    unknown = caught.value.exceptions[-1]
    assert isinstance(unknown, StartError)
    assert (unknown.starts, unknown.token, unknown.outcome) == ((UNKNOWN,), "t-4", Outcome.UNKNOWN)


def test_a_report_survives_pickle() -> None:
    """A report may be sent to another process."""
    assert pickle.loads(pickle.dumps(REPORT)) == REPORT  # noqa: S301 our own value, not anyone's data
