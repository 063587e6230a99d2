"""Writes the outcome of each start, and the result of a run, as lines of JSON. Pure."""

from __future__ import annotations

import json
from typing import Any

from aioecs import StartResult
from aioecs.cli._display.report import OUTCOMES, Report
from aioecs.cli._display.start_counts import exit_status, text_of


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
    facts |= {outcome.value: counts.count(outcome) for outcome in OUTCOMES}
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
