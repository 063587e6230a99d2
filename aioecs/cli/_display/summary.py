"""Reports the result of a run, one fact a line; all text is ASCII, which every terminal shows. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from rich.text import Text

from aioecs import Outcome
from aioecs.cli._display.report import OUTCOMES, Report
from aioecs.cli._display.start_counts import Group, StartCounts
from aioecs.cli._display.text_lines import counted, joined, one_line


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
        counted(counts.count(outcome), label, style)
        for outcome, (label, style) in OUTCOMES.items()
        if counts.count(outcome) or outcome is Outcome.STARTED
    ]
    if counts.found:
        parts[0].append(f" ({counts.found:,} by an earlier run)")
    if counts.unresolved:
        parts.append(counted(counts.unresolved, "UNSETTLED", "bold red"))
    tasks = "task" if counts.requested == 1 else "tasks"
    rate = f", {report.per_second:,.0f} started per second" if counts.started else ""
    return Text.assemble(joined(parts), f" of {counts.requested:,} {tasks} in {report.seconds:,.2f} s{rate}")


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


def _groups(title: str, groups: Mapping[str, Group]) -> Iterator[Text]:
    if groups:
        yield Text(title)
    for reason, group in sorted(groups.items(), key=lambda item: -item[1].count):
        where = f", {_on(group)}" if group.examples else ""
        yield Text.assemble("  ", (f"{group.count:,}", "yellow"), f" x {one_line(reason)}{where}")
        if group.detail:
            yield Text(f"    {one_line(group.detail)}", "dim")


def _on(group: Group) -> str:
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
    args = ["aioecs", "tasks", "--cluster", report.cluster, "--started-by", token, *report.access]
    yield Text(f"  {shlex.join(map(one_line, args))}", no_wrap=True)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
