"""What clients reported of their starts, compared with what ECS did."""

from __future__ import annotations

from typing import Any

import attrs

import aioecs

TOGETHER = 10
"""Equal requests of one `run_tasks`, which share a call."""


@attrs.define
class Report:
    """What a client said of one start: the tasks that it named, and what it said of the rest."""

    arns: set[str] = attrs.Factory(set)
    outcome: str = "failed"


def report_of(starts: tuple[aioecs.StartResult, ...]) -> Report:
    arns = {start.task.task_arn or "" for start in starts if start.task is not None}
    unknown = any(start.outcome is aioecs.Outcome.UNKNOWN for start in starts)
    stopped = any(start.outcome is aioecs.Outcome.STOPPED for start in starts)
    return Report(arns, "unknown" if unknown else "stopped" if stopped else "started" if arns else "failed")


@attrs.frozen
class Row:
    """What one client did in one storm."""

    client: str
    asked: int
    started: int
    duplicates: int
    lies: int
    orphans: int
    unknown: int
    seconds: float


def judge(client: str, reports: dict[int, Report], truth: dict[str, Any], seconds: float) -> Row:
    """Compare what a client reported with the truth."""
    running: dict[int, set[str]] = {number: set() for number in reports}
    for task in truth["tasks"]:
        if task["desired_status"] == "RUNNING":
            running[int(task["group"])].add(task["arn"])
    return Row(
        client=client,
        asked=len(reports),
        started=sum(bool(tasks) for tasks in running.values()),
        duplicates=sum(max(0, len(tasks) - 1) for tasks in running.values()),
        lies=sum(bool(running[n]) and not report.arns and report.outcome == "failed" for n, report in reports.items()),
        orphans=sum(len(tasks - reports[n].arns) for n, tasks in running.items() if reports[n].outcome != "unknown"),
        unknown=sum(report.outcome == "unknown" for report in reports.values()),
        seconds=seconds,
    )


def judge_many(
    reported: dict[int, list[aioecs.StartResult]], known: set[str], truth: dict[str, Any], seconds: float
) -> Row:
    """Compare what was reported of groups of equal starts with the truth."""
    running: dict[int, set[str]] = {number: set() for number in reported}
    for task in truth["tasks"]:
        if task["desired_status"] == "RUNNING":
            running[int(task["group"])].add(task["arn"])
    unknown = {
        number: sum(start.outcome is aioecs.Outcome.UNKNOWN for start in starts) for number, starts in reported.items()
    }
    unnamed = {number: len(tasks - known) for number, tasks in running.items()}
    said = [start for starts in reported.values() for start in starts if start.outcome is aioecs.Outcome.STARTED]
    alive = set().union(*running.values())
    return Row(
        client="aioecs, run_tasks",
        asked=sum(map(len, reported.values())),
        started=len(alive),
        duplicates=sum(max(0, len(tasks) - TOGETHER) for tasks in running.values()),
        lies=sum(start.task is None or start.task.task_arn not in alive for start in said),
        orphans=sum(max(0, unnamed[number] - unknown[number]) for number in reported),
        unknown=sum(unknown.values()),
        seconds=seconds,
    )
