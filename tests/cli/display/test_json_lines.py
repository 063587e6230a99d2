"""Outcomes and results as JSON."""

from __future__ import annotations

import json

import pytest
from start_reports import ARN, refused, report, start, unknown

from aioecs import ECSError, Outcome, StartResult, Task
from aioecs.cli._display.json_lines import start_json, summary_json


@pytest.mark.parametrize(
    ("start_result", "facts"),
    [
        (start(Outcome.STARTED, task=Task(task_arn="t"), token="k"), {"task_arn": "t", "token": "k"}),
        (refused("AGENT"), {"reason": "AGENT", "detail": "d"}),
        (unknown("k"), {"error": "connection reset", "token": "k"}),
        (start(Outcome.NOT_SENT, error=ECSError("no")), {"error": "no"}),
    ],
)
def test_start_json(start_result: StartResult, facts: dict[str, str]) -> None:
    """A line has the outcome of a start; what doesn't apply is null."""
    empty = dict.fromkeys(("task_arn", "reason", "detail", "error", "token"))
    line = start_json(start_result)
    assert "\n" not in line
    assert json.loads(line) == {
        **empty,
        "outcome": start_result.outcome.value,
        "container_instance": ARN + "i1",
        "found": False,
        **facts,
    }


def test_the_job_of_a_start() -> None:
    """Its name stands first, so that a reader can join results with jobs."""
    line = json.loads(start_json(start(Outcome.STARTED, found=True), "frame 7"))
    assert next(iter(line)) == "job"
    assert (line["job"], line["found"]) == ("frame 7", True)


def test_summary_json() -> None:
    """The last line has the counts, which add up, and the groups."""
    of = report(9, start(Outcome.STARTED), refused("AGENT"), unknown("k"), throttled=4, container_instances=3)
    of.counts.close(5)
    (summed,) = json.loads(summary_json(of)).values()
    outcomes = {outcome.value: summed[outcome.value] for outcome in Outcome}
    assert outcomes == {"started": 1, "refused": 1, "unknown": 1, "stopped": 0, "not_sent": 4}
    assert sum(outcomes.values()) + summed["unsettled"] == summed["asked"] == 9
    assert summed["refusals"] == {"AGENT": 1}
    assert summed["errors"] == {"connection reset": 1}
    assert summed["unknown_tokens"] == ["k"]
    assert (summed["calls"], summed["throttled"], summed["container_instances"]) == (2, 4, 3)
    assert (summed["seconds"], summed["started_per_second"]) == (2.0, 0.5)
    assert (summed["interrupted"], summed["exit_status"]) == (None, 1)
