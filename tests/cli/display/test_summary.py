"""The summary of a run as text."""

from __future__ import annotations

import json

import attrs
from start_reports import refused, report, start, summary_text, unknown

from aioecs import ClusterNotFoundException, Failure, Outcome, StartResult, StartTaskRequest, Task
from aioecs.cli._display.json_lines import start_json
from aioecs.cli._display.summary import summary


def test_summary_of_a_success() -> None:
    """Two lines: how many were started, and where."""
    assert summary_text(report(2, *[start(Outcome.STARTED)] * 2, container_instances=20)).splitlines() == [
        "2 started of 2 tasks in 2.00 s, 1 started per second",
        "cluster render, 20 container instances, task definition frame:1, 2 calls, 0 throttled",
    ]


def test_summary_on_the_local_ecs() -> None:
    """It says that the tasks were on the embedded ECS, and are gone."""
    assert "ran on the embedded local ECS, which is gone now" in summary_text(
        report(1, start(Outcome.STARTED), local=True)
    )


def test_summary_of_one() -> None:
    """One is not several; what is not known, such as the instances, is left out."""
    assert summary_text(report(1, start(Outcome.STARTED), calls=1)).splitlines() == [
        "1 started of 1 task in 2.00 s, 0 started per second",
        "cluster render, task definition frame:1, 1 call, 0 throttled",
    ]


def test_summary_groups_refusals() -> None:
    """Refusals stand by reason, the most frequent first, with examples of instances."""
    text = summary_text(report(9, refused("AGENT"), *[refused("RESOURCE:CPU", f"i{number}") for number in range(5)]))
    assert text.splitlines()[0] == "0 started, 6 refused, 3 UNSETTLED of 9 tasks in 2.00 s"
    assert "Refused:\n  5 x RESOURCE:CPU, on i0, i1, i2 ...\n    d\n  1 x AGENT, on i1\n    d" in text


def test_summary_of_what_found_no_capacity() -> None:
    """What never had an instance names none; what was said of it is said once."""
    failure = Failure(reason="RESOURCE:CPU", detail="no container instance has capacity:\nRESOURCE:CPU on 26")
    nowhere = StartResult(
        request=StartTaskRequest(task_definition="td"),
        container_instance="",
        outcome=Outcome.REFUSED,
        failure=failure,
    )
    text = summary_text(report(3, *[nowhere] * 2, start(Outcome.REFUSED, failure=Failure(reason="AGENT"))))
    lines = text.splitlines()
    assert lines[2:] == [
        "Refused:",
        "  2 x RESOURCE:CPU",
        "    no container instance has capacity: RESOURCE:CPU on 26",
        "  1 x AGENT, on i1",
    ]
    assert json.loads(start_json(nowhere))["container_instance"] is None


def test_summary_groups_errors() -> None:
    """Errors stand by text, on one line each, whatever ECS wrote into them."""
    error = ClusterNotFoundException("Cluster\nnot \x1b[31mfound.", operation="StartTask")
    text = summary_text(report(2, *[start(Outcome.REFUSED, error=error)] * 2))
    assert "Errors:\n  2 x ClusterNotFoundException on StartTask: Cluster not [31mfound., on i1" in text


def test_summary_shows_unknown_in_capitals() -> None:
    """Unknown starts come last, each token with its instances, and a command that finds one."""
    text = summary_text(
        report(3, start(Outcome.STARTED), unknown("t1", "i1"), unknown("t1", "i2"), cluster="my cluster")
    )
    assert text.splitlines()[0].startswith("1 started, 2 UNKNOWN of 3 tasks")
    assert "UNKNOWN: whether ECS started 2 tasks could not be learnt." in text
    assert text.endswith("  token t1 of 2 starts on i1, i2\n  aioecs tasks --cluster 'my cluster' --started-by t1")


def test_summary_names_every_token() -> None:
    """Each token is shown, however many there are."""
    text = summary_text(report(50, *[unknown(f"t{number}") for number in range(50)]))
    assert all(f"  token t{number} of 1 start on i1" in text for number in range(50))
    assert text.endswith("--started-by TOKEN")


def test_summary_of_an_interrupt() -> None:
    """What was stopped, and what was never begun, is counted apart from what started."""
    halfway = report(10, start(Outcome.STARTED), start(Outcome.STOPPED), interrupted="SIGINT")
    halfway.counts.close(2)
    assert (
        summary_text(halfway).splitlines()[0].startswith("1 started, 1 stopped after starting, 8 not sent of 10 tasks")
    )
    assert "Interrupted: SIGINT" in summary_text(halfway)


def test_summary_of_a_sudden_end() -> None:
    """What was in flight at the end is reported."""
    sudden = report(10, start(Outcome.STARTED), interrupted="SIGINT")
    sudden.counts.close(4)
    assert "UNSETTLED: it ended before 3 starts in flight had come to anything." in summary_text(sudden)


def test_colours_point_at_what_matters() -> None:
    """Started is green, what did not start yellow, unknown red; a nought has no colour."""
    line = summary(report(2, refused("AGENT"), unknown("t")))[0]
    styles = {line.plain[span.start : span.end]: str(span.style) for span in line.spans}
    assert styles.get("1 refused") == "yellow"
    assert styles.get("1 UNKNOWN") == "bold red"
    assert styles.get("0 started", "") == ""


def test_what_an_earlier_run_started() -> None:
    """It is said, for nothing was started twice."""
    text = summary_text(report(2, start(Outcome.STARTED), start(Outcome.STARTED, found=True)))
    assert text.startswith("2 started (1 by an earlier run) of 2 tasks in ")


def test_the_tasks_are_named() -> None:
    """The first ten; of more it is said how many."""
    task = Task(task_arn="arn:aws:ecs:us-east-1:123456789012:task/default/0123")
    started = [attrs.evolve(start(Outcome.STARTED), task=task)] * 12
    lines = summary_text(report(12, *started)).splitlines()
    assert lines[2:4] == ["Started:", "  0123"]
    assert lines[-1] == "  and 2 more; --json names all"
