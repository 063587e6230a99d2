"""run_report: what the requests of one `run_all` came to, counted."""

from __future__ import annotations

import pytest

from aioecs._model import Outcome, StartResult, StartTaskRequest, Task, TaskResult
from aioecs._model.run_report import Run, RunReport
from aioecs.errors import StartRefused, TaskFailed, TaskMissing

REQUEST = StartTaskRequest(task_definition="demo")


def judged(succeeded: bool | None) -> Run:
    """Return a run whose task ended so."""
    return Run(request=REQUEST, result=TaskResult(task=Task(task_arn="arn"), succeeded=succeeded))


def start(outcome: Outcome) -> StartResult:
    """Return a start that came to this."""
    return StartResult(request=REQUEST, container_instance="i1", outcome=outcome)


REFUSED = Run(request=REQUEST, error=StartRefused("no capacity"), starts=(start(Outcome.REFUSED),))
MISSING = Run(request=REQUEST, error=TaskMissing("gone"), starts=(start(Outcome.STARTED),))
AMBIGUOUS = Run(request=REQUEST, error=TaskMissing("?"), starts=(start(Outcome.UNKNOWN),))


@pytest.mark.parametrize(
    ("run", "succeeded"),
    [
        (judged(True), True),
        (judged(False), False),
        (judged(None), None),
        (REFUSED, False),
        (MISSING, None),
        (AMBIGUOUS, None),
    ],
)
def test_whether_it_succeeded(run: Run, succeeded: bool | None) -> None:
    """What was never started failed; a task whose end nobody saw is unknown."""
    assert run.succeeded is succeeded


def test_a_report() -> None:
    """Each run is in one of three lists; the results are in order."""
    report = RunReport(runs=(judged(True), REFUSED, judged(None), MISSING, judged(False)))
    assert (len(report.succeeded), len(report.failed), len(report.unknown)) == (1, 2, 2)
    assert [result.succeeded for result in report.results] == [True, None, False]
    assert [start.outcome for start in report.starts] == [Outcome.REFUSED, Outcome.STARTED]
    assert repr(report) == "<RunReport of 5: 1 succeeded, 2 failed, 2 unknown>"


def test_the_first_that_did_not_succeed_is_raised() -> None:
    """In the order of the requests; nothing is raised where all succeeded."""
    report = RunReport(runs=(judged(True), judged(True)))
    assert report.raise_for_status() is report
    with pytest.raises(StartRefused):
        RunReport(runs=(judged(True), REFUSED, judged(False))).raise_for_status()
    with pytest.raises(TaskFailed):
        RunReport(runs=(judged(False), REFUSED)).raise_for_status()
