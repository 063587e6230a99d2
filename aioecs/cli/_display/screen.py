"""Makes progress, summaries and JSON of a run's counts. Pure; all text is ASCII, which every terminal shows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import attrs
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aioecs import Outcome, StartResult
from aioecs.cli._display.start_counts import Group as Starts
from aioecs.cli._display.start_counts import StartCounts, exit_status, text_of

_MINUTE, _HOUR = 60, 3600
_BAR = (8, 40)  # columns of the narrowest and the widest bar
_EXACT = 10  # calls a second; slower ones are shown to a tenth
_ECHO = 3  # columns left free: a terminal writes "^C" there, and a line that it broke could not be taken back
_WORDS = {
    Outcome.STARTED: ("started", "green"),
    Outcome.STOPPED: ("stopped again", "yellow"),
    Outcome.REFUSED: ("refused", "yellow"),
    Outcome.NOT_SENT: ("not sent", "yellow"),
    Outcome.UNKNOWN: ("UNKNOWN", "bold red"),
}


@attrs.frozen(kw_only=True)
class Report:
    """The progress of a run, or its result."""

    counts: StartCounts
    cluster: str = ""
    task_definition: str = ""
    container_instances: int = 0
    local: bool = False
    access: Sequence[str] = ()
    """The command-line options that reach the same ECS."""
    calls: int = 0
    throttled: int = 0
    rate: float = float("inf")
    """The rate limit in calls a second; infinite where none applies."""
    waiting: int = 0
    """How many starts wait for capacity."""
    seconds: float = 0.0
    interrupted: str | None = None
    """What interrupted the run: a signal's name, or a reason."""

    @property
    def left(self) -> float | None:
        """The estimated time to the end, in seconds; None without an estimate, as while starts wait for capacity."""
        done = self.counts.finished
        if self.interrupted is not None or self.waiting or not done or done >= self.counts.requested:
            return None
        return self.seconds * (self.counts.requested - done) / done

    @property
    def per_second(self) -> float:
        """Tasks started a second; 0 before any time has passed."""
        return self.counts.started / self.seconds if self.seconds > 0 else 0.0


def error_line(message: str) -> Text:
    """Return an error message as one line."""
    return Text.assemble(("aioecs: ", "bold red"), one_line(message))


def one_line(message: str) -> str:
    """Return the message without line breaks, and without what a terminal could take for a command."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in message).split())


def printable(line: Text) -> Text:
    """Return the line with a question mark for each sign that a terminal could take for a command."""
    if line.plain.isprintable():
        return line
    safe = line.copy()
    safe.plain = "".join(sign if sign.isprintable() else "?" for sign in line.plain)
    return safe


def wrapped(line: Text, width: int) -> list[Text]:
    """Wrap a line between words to fit `width` columns; continuation lines are indented.

    Ids, ARNs and lines marked `no_wrap`, such as commands, stay whole: they must survive being copied.
    """
    if line.no_wrap or line.cell_len <= width:
        return [line]
    indent = len(line.plain) - len(line.plain.lstrip())
    first, further = " " * indent, " " * (indent + 2)
    lines: list[Text] = [Text(first)]
    for word in line[indent:].split(" "):
        if lines[-1].plain.strip() and lines[-1].cell_len + word.cell_len > width:
            lines[-1].rstrip()
            lines.append(Text(further))
        lines[-1].append_text(word).append(" ")
    lines[-1].rstrip()
    return lines


# ------------------------------------------------------------------------------------------------------ while it runs


def progress(report: Report, width: int) -> RenderableType:
    """Return the progress: on one line with a bar if `width` columns allow, else without the bar."""
    counts = report.counts
    line = Text(f"{counts.finished:,}/{counts.requested:,} {100 * counts.finished // counts.requested}%", "bold")
    parts = _joined(_progress_counts(report))
    with_rate = _joined([parts, *_pace(report)])
    width -= _ECHO
    bar_width, beside = (width - len(line) - len(text) - 2 for text in (parts, with_rate))
    fits = beside >= _BAR[0]
    shown: list[RenderableType] = [*wrapped(Text.assemble(line, " ", with_rate), width)]
    if bar_width >= _BAR[0]:
        bar = ProgressBar(
            total=counts.requested, completed=counts.finished, width=min(beside if fits else bar_width, _BAR[1])
        )
        shown = [_row(line, bar, with_rate)] if fits else [_row(line, bar, parts), *_pace(report)]
    if report.interrupted is not None:
        waiting = Text("interrupted: waiting for what is in flight; Ctrl-C again ends at once", "bold yellow")
        shown += wrapped(waiting, width)
    return Group(*shown)


def _progress_counts(report: Report) -> Iterator[Text]:
    """Yield the counts that the total doesn't show, the rate and the time."""
    counts = report.counts
    if counts.started != counts.finished:
        yield _count(counts.started, "started", "green")
    others = [
        (report.waiting, "waiting for capacity", "yellow"),
        (counts.count(Outcome.REFUSED), "refused", "yellow"),
        (report.throttled, "throttled", "yellow"),
        (counts.count(Outcome.UNKNOWN), "unknown", "bold red"),
    ]
    yield from (_count(*other) for other in others if other[0])
    yield Text(f"{report.per_second:,.0f}/s")
    left = "" if report.left is None else f", {duration(report.left)} left"
    yield Text(f"{duration(report.seconds)}{left}")


def duration(seconds: float) -> str:
    """Return a time in words as short as a clock's: 9s, 1m09s, 2h05m."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"


def progress_line(report: Report) -> Text:
    """Return the progress as one line, for output that is no terminal."""
    counts = report.counts
    state = "interrupted, waiting for what is in flight; " if report.interrupted is not None else ""
    done = f"{state}{counts.finished:,} of {counts.requested:,}, {100 * counts.finished // counts.requested}%"
    return _joined([Text(done), *_progress_counts(report), *_pace(report)])


def _pace(report: Report) -> Iterator[Text]:
    """Yield the rate limit, if one applies."""
    if isfinite(report.rate):
        yield Text(f"paced at {report.rate:,.{0 if report.rate >= _EXACT else 1}f} calls/s")


def _row(*cells: RenderableType) -> Table:
    grid = Table.grid(padding=(0, 1))
    for _ in cells:
        grid.add_column(no_wrap=True)
    grid.add_row(*cells)
    return grid


# --------------------------------------------------------------------------------------------------------- at the end


def summary(report: Report) -> list[Text]:
    """Return the result, one line each: totals, then what did not start and why, and what is unknown last."""
    lines = [_totals(report), _details(report)]
    if report.interrupted is not None:
        lines.append(Text(f"Interrupted: {one_line(report.interrupted)}", "bold yellow"))
    lines += _groups("Refused:", report.counts.refusals)
    lines += _groups("Errors:", report.counts.errors)
    lines += _tasks(report.counts)
    lines += _unresolved(report)
    lines += _unknown(report)
    return lines


def _totals(report: Report) -> Text:
    counts = report.counts
    parts = [
        _count(counts.count(outcome), word, style)
        for outcome, (word, style) in _WORDS.items()
        if counts.count(outcome) or outcome is Outcome.STARTED
    ]
    if counts.found:
        parts[0].append(f" ({counts.found:,} by an earlier run)")
    if counts.unresolved:
        parts.append(_count(counts.unresolved, "UNSETTLED", "bold red"))
    tasks = "task" if counts.requested == 1 else "tasks"
    rate = f", {report.per_second:,.0f} started per second" if counts.started else ""
    return Text.assemble(_joined(parts), f" of {counts.requested:,} {tasks} in {report.seconds:,.2f} s{rate}")


def _tasks(counts: StartCounts) -> Iterator[Text]:
    """Yield the ids of the first started tasks."""
    more = counts.started - len(counts.tasks)
    if counts.tasks:
        yield Text("Started:")
    yield from (Text(f"  {arn}", no_wrap=True) for arn in counts.tasks)
    if counts.tasks and more > 0:
        yield Text(f"  and {more:,} more; --json names all", "dim")


def _details(report: Report) -> Text:
    instances = f"{_many(report.container_instances, 'container instance')}, " if report.container_instances else ""
    calls = f"{_many(report.calls, 'call')}, {report.throttled:,} throttled"
    where = f"cluster {report.cluster}, {instances}task definition {report.task_definition}, {calls}"
    if report.local:
        where += "; ran on the embedded local ECS, which is gone now"
    return Text(one_line(where), "dim")


def _groups(title: str, groups: Mapping[str, Starts]) -> Iterator[Text]:
    if groups:
        yield Text(title)
    for reason, group in sorted(groups.items(), key=lambda item: -item[1].count):
        where = f", {_on(group)}" if group.examples else ""
        yield Text.assemble("  ", (f"{group.count:,}", "yellow"), f" x {one_line(reason)}{where}")
        if group.detail:
            yield Text(f"    {one_line(group.detail)}", "dim")


def _on(group: Starts) -> str:
    return f"on {', '.join(group.examples)}{' ...' if group.more else ''}"


def _unresolved(report: Report) -> Iterator[Text]:
    if report.counts.unresolved:
        yield Text(
            f"UNSETTLED: it ended before {_many(report.counts.unresolved, 'start')} in flight had come to anything. "
            "They may run: list the cluster's tasks before you start them again.",
            "bold red",
        )


def _unknown(report: Report) -> Iterator[Text]:
    unknown = report.counts.count(Outcome.UNKNOWN)
    if not unknown:
        return
    yield Text(
        f"UNKNOWN: whether ECS started {_many(unknown, 'task')} could not be learnt. "
        "Look them up by their token before you start them again:",
        "bold red",
    )
    for token, group in report.counts.unknown_tokens.items():
        yield Text.assemble("  token ", (token, "bold"), f" of {_many(group.count, 'start')} {_on(group)}")
    token = next(iter(report.counts.unknown_tokens)) if len(report.counts.unknown_tokens) == 1 else "TOKEN"
    words = ["aioecs", "tasks", "--cluster", report.cluster, "--started-by", token, *report.access]
    yield Text(f"  {shlex.join(map(one_line, words))}", no_wrap=True)


def _joined(parts: Iterator[Text] | list[Text]) -> Text:
    return Text(", ").join(parts)


def _count(count: int, word: str, style: str) -> Text:
    return Text(f"{count:,} {word}", style if count else "")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# --------------------------------------------------------------------------------------------------------------- JSON


def start_json(start: StartResult, job: str | None = None) -> str:
    """Return a start's outcome as a line of JSON, with its job's name if it has one; what doesn't apply is null."""
    failure, error = start.failure, start.error
    return json.dumps(
        ({} if job is None else {"job": job})
        | {
            "outcome": start.outcome.value,
            "task_arn": start.task.task_arn if start.task is not None else None,
            "container_instance": _instance(start) or None,
            "reason": failure.reason if failure is not None else None,
            "detail": failure.detail if failure is not None else None,
            "error": text_of(error) if error is not None else None,
            "token": start.token or None,
            "found": start.found,
        }
    )


def _instance(start: StartResult) -> str | None:
    """Return the ARN of its instance if ECS named it, else the instance as the request names it."""
    reported = start.task.container_instance_arn if start.task is not None else None
    refused = start.failure.arn if start.failure is not None else None
    return reported or refused or start.container_instance


def summary_json(report: Report) -> str:
    """Return the result of the run as a line of JSON; `seconds` is the time that it took."""
    counts = report.counts
    facts: dict[str, Any] = {"asked": counts.requested}
    facts |= {outcome.value: counts.count(outcome) for outcome in _WORDS}
    facts |= {
        "found": counts.found,
        "unsettled": counts.unresolved,
        "calls": report.calls,
        "throttled": report.throttled,
        "seconds": round(report.seconds, 3),
        "started_per_second": round(report.per_second, 1),
        "interrupted": report.interrupted,
        "local": report.local,
        "cluster": report.cluster,
        "task_definition": report.task_definition,
        "container_instances": report.container_instances,
        "refusals": {reason: group.count for reason, group in counts.refusals.items()},
        "errors": {text: group.count for text, group in counts.errors.items()},
        "unknown_tokens": list(counts.unknown_tokens),
        "exit_status": exit_status(counts, interrupted=report.interrupted is not None),
    }
    return json.dumps({"summary": facts})
