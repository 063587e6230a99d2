"""What the tests of the command line's display share: starts with outcomes, and reports of them."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from aioecs import AnswerLost, Failure, Outcome, StartResult, StartTaskRequest
from aioecs.cli._display.report import Report
from aioecs.cli._display.start_counts import StartCounts
from aioecs.cli._display.summary import summary

ARN = "arn:aws:ecs:eu-west-1:123456789012:container-instance/render/"


def start(outcome: Outcome, instance: str = "i1", **facts: Any) -> StartResult:
    """Make a start with this outcome."""
    request = StartTaskRequest(task_definition="td")
    return StartResult(request=request, container_instance=ARN + instance, outcome=outcome, **facts)


def refused(reason: str, instance: str = "i1") -> StartResult:
    """Make a start that ECS refused."""
    return start(Outcome.REFUSED, instance, failure=Failure(reason=reason, detail="d"))


def unknown(token: str, instance: str = "i1") -> StartResult:
    """Make a start whose outcome is unknown."""
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
