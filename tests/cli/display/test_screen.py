"""What is shown: the moving line, the summary and the JSON, each from values alone."""

from __future__ import annotations

import io
import json
from typing import Any

import attrs
import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from aioecs import (
    AnswerLost,
    ClusterNotFoundException,
    ECSError,
    Failure,
    Outcome,
    StartResult,
    StartTaskRequest,
    Task,
)
from aioecs.cli._display.screen import (
    Report,
    duration,
    error_line,
    printable,
    progress,
    progress_line,
    start_json,
    summary,
    summary_json,
    wrapped,
)
from aioecs.cli._display.start_counts import StartCounts

ARN = "arn:aws:ecs:eu-west-1:123456789012:container-instance/render/"


def start(outcome: Outcome, instance: str = "i1", **facts: Any) -> StartResult:
    """Make a start that came to `outcome`."""
    request = StartTaskRequest(task_definition="td")
    return StartResult(request=request, container_instance=ARN + instance, outcome=outcome, **facts)


def refused(reason: str, instance: str = "i1") -> StartResult:
    """Make a start that ECS refused."""
    return start(Outcome.REFUSED, instance, failure=Failure(reason=reason, detail="d"))


def unknown(token: str, instance: str = "i1") -> StartResult:
    """Make a start in doubt."""
    return start(Outcome.UNKNOWN, instance, token=token, error=AnswerLost("connection reset"))


def report(requested: int, *starts: StartResult, **facts: Any) -> Report:
    """Make a report of these starts."""
    counts = StartCounts(requested)
    for each in starts:
        counts.add(each)
    given: dict[str, Any] = {"cluster": "render", "task_definition": "frame:1", "calls": 2, "seconds": 2.0}
    return Report(counts=counts, **given | facts)


def drawn(shown: RenderableType, width: int) -> list[str]:
    """Draw on a terminal of so many columns, without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def summary_text(of: Report) -> str:
    """Return the summary as plain text."""
    return "\n".join(line.plain for line in summary(of))


# ------------------------------------------------------------------------------------------------------ while it runs


def test_progress_on_a_wide_terminal() -> None:
    """One line: how many have settled, a bar, and the counts."""
    (line,) = drawn(progress(report(4, start(Outcome.STARTED), refused("AGENT"), throttled=3), 100), 100)
    assert line.startswith("2/4 50% ")
    assert "━" in line
    assert line.rstrip().endswith("1 started, 1 refused, 3 throttled, 0/s, 2s, 2s left")


@pytest.mark.parametrize("width", [20, 40, 60, 79, 80, 100, 200])
@pytest.mark.parametrize("interrupted", [None, "SIGINT"])
@pytest.mark.parametrize("rate", [40.0, float("inf")])
def test_progress_fits(width: int, interrupted: str | None, rate: float) -> None:
    """At any width no line is too long, and there is room for the "^C" that a terminal writes behind it."""
    shown = report(10_000, start(Outcome.STARTED), interrupted=interrupted, rate=rate)
    lines = drawn(progress(shown, width), width)
    assert ("calls/s" in " ".join(lines)) is (rate == 40)
    assert max(len(line.rstrip()) for line in lines) <= width - 2
    assert "10,000" in lines[0]
    assert ("ends at once" in " ".join(" ".join(lines).split())) is (interrupted is not None)


def test_progress_without_room_for_a_bar() -> None:
    """A narrow terminal gets the counts without the bar."""
    assert "━" not in "".join(drawn(progress(report(10, start(Outcome.STARTED)), 30), 30))


@pytest.mark.parametrize(("seconds", "rate"), [(0.0, "0/s"), (0.5, "2/s")])
def test_progress_tells_the_rate(seconds: float, rate: str) -> None:
    """The rate is of tasks started; before any time has passed it is nought."""
    (line,) = drawn(progress(report(10, start(Outcome.STARTED), seconds=seconds), 120), 120)
    assert f" {rate}" in line


@pytest.mark.parametrize(
    ("rate", "pace"),
    [(40.0, "paced at 40 calls/s"), (1234.5, "paced at 1,234 calls/s"), (2.54, "paced at 2.5 calls/s")],
)
def test_progress_tells_the_pace(rate: float, pace: str) -> None:
    """What the pacer has learnt stands behind the counts."""
    (line,) = drawn(progress(report(10, start(Outcome.STARTED), rate=rate), 120), 120)
    assert line.rstrip().endswith(f" 0/s, 2s, 18s left, {pace}")
    assert "━" in line


def test_progress_without_a_pacer() -> None:
    """Where nothing paces there is nothing to tell."""
    assert "paced" not in "".join(drawn(progress(report(10, start(Outcome.STARTED)), 120), 120))


def test_the_pace_gives_way_to_the_bar() -> None:
    """On 55 columns the bar stays, and the pace has a line of its own."""
    first, second = drawn(progress(report(2, start(Outcome.STARTED), rate=40.0), 55), 55)
    assert "━" in first
    assert second.strip() == "paced at 40 calls/s"


# --------------------------------------------------------------------------------------------------------- at the end


def test_summary_of_a_success() -> None:
    """Two lines: what was asked was started, and where."""
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


def test_summary_of_what_found_no_room() -> None:
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


def test_summary_says_unknown_aloud() -> None:
    """Unknown starts come last, each token with its instances, and a command that looks one up."""
    text = summary_text(
        report(3, start(Outcome.STARTED), unknown("t1", "i1"), unknown("t1", "i2"), cluster="my cluster")
    )
    assert text.splitlines()[0].startswith("1 started, 2 UNKNOWN of 3 tasks")
    assert "UNKNOWN: whether ECS started 2 tasks could not be learnt." in text
    assert text.endswith("  token t1 of 2 starts on i1, i2\n  aioecs tasks --cluster 'my cluster' --started-by t1")


def test_summary_names_every_token() -> None:
    """However many tokens there are, each is told."""
    text = summary_text(report(50, *[unknown(f"t{number}") for number in range(50)]))
    assert all(f"  token t{number} of 1 start on i1" in text for number in range(50))
    assert text.endswith("--started-by TOKEN")


def test_summary_of_an_interrupt() -> None:
    """What was stopped, and what was never begun, is told apart from what started."""
    halfway = report(10, start(Outcome.STARTED), start(Outcome.STOPPED), interrupted="SIGINT")
    halfway.counts.close(2)
    assert summary_text(halfway).splitlines()[0].startswith("1 started, 1 stopped again, 8 not sent of 10 tasks")
    assert "Interrupted: SIGINT" in summary_text(halfway)


def test_summary_of_a_sudden_end() -> None:
    """What was in flight when it ended is said aloud."""
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


# --------------------------------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 80, ["one two three"]),
        ("one two three", 8, ["one two", "  three"]),
        ("  one two three", 9, ["  one two", "    three"]),
        ("one " + "x" * 20 + " two", 10, ["one", "  " + "x" * 20, "  two"]),
        ("x" * 20, 10, ["x" * 20]),
    ],
)
def test_broken(text: str, width: int, lines: list[str]) -> None:
    """Lines are broken between words, and never within one."""
    assert [line.plain for line in wrapped(Text(text), width)] == lines


def test_commands_stay_whole() -> None:
    """A command is not broken: it must survive being copied."""
    command = Text("aioecs tasks", no_wrap=True)
    assert wrapped(command, 5) == [command]


def test_broken_lines_keep_their_style() -> None:
    """Colours go with the words."""
    lines = wrapped(Text.assemble("one ", ("two three", "red"), style="bold"), 8)
    assert [line.plain for line in lines] == ["one two", "  three"]
    assert all(any(span.style == "red" for span in line.spans) for line in lines)


def test_a_complaint_is_one_line() -> None:
    """Whatever an error says, it is told on one line, and can't steer the terminal."""
    assert error_line("no\n  such\x1b[2J\x07 cluster").plain == "aioecs: no such [2J cluster"


# ---------------------------------------------------------------------------------------------------------------- JSON


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
    """One line says what a start came to; what doesn't apply is null."""
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


def test_what_an_earlier_run_started() -> None:
    """It is said, for nothing was started twice."""
    text = summary_text(report(2, start(Outcome.STARTED), start(Outcome.STARTED, found=True)))
    assert text.startswith("2 started (1 by an earlier run) of 2 tasks in ")


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


# ------------------------------------------------------------------------------------------------- what a person misses


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (69, "1m09s"), (3600, "1h00m"), (7500, "2h05m")]
)
def test_durations(seconds: float, words: str) -> None:
    """They are short."""
    assert duration(seconds) == words


def test_the_bar_does_not_leap_to_the_end() -> None:
    """After an interrupt, what was not sent is not counted as done, and no time left is told."""
    unsent = [start(Outcome.NOT_SENT)] * 8
    shown = report(10, start(Outcome.STARTED), *unsent, interrupted="SIGINT")
    first, *_ = drawn(progress(shown, 120), 120)
    assert first.startswith("1/10 10% ")
    assert "left" not in first


def test_a_beat() -> None:
    """Without a terminal a line tells the same."""
    assert progress_line(report(4, start(Outcome.STARTED), refused("AGENT"))).plain == (
        "2 of 4, 50%, 1 started, 1 refused, 0/s, 2s, 2s left"
    )
    assert progress_line(report(4, interrupted="SIGINT")).plain.startswith(
        "interrupted, waiting for what is in flight; 0 of 4, 0%"
    )


def test_the_tasks_are_named() -> None:
    """The first ten; of more it is said how many."""
    task = Task(task_arn="arn:aws:ecs:us-east-1:123456789012:task/default/0123")
    started = [attrs.evolve(start(Outcome.STARTED), task=task)] * 12
    lines = summary_text(report(12, *started)).splitlines()
    assert lines[2:4] == ["Started:", "  0123"]
    assert lines[-1] == "  and 2 more; --json names all"


@pytest.mark.parametrize("sign", ["\x1b", "\x00", "\x9b", "\u202e"])
def test_what_a_terminal_takes_for_a_command(sign: str) -> None:
    """It becomes a question mark, with the styles where they were."""
    line = printable(Text.assemble("a", (f"b{sign}c", "red"), "d"))
    assert (line.plain, line.spans[0].start, line.spans[0].end) == ("ab?cd", 1, 4)
