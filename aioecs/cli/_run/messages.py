"""What `aioecs run` says and writes of how a run ended. Pure."""

from __future__ import annotations

import json
import shlex
from typing import Any

from rich.text import Text

from aioecs import ECSError, Failure, Outcome, StartRefused, StartUnknown, TaskResult
from aioecs._model.arn import short
from aioecs.cli._cluster.task_list import facts
from aioecs.cli._display.progress import duration
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.status import INTERRUPTED
from aioecs.cli._display.text_lines import one_line
from aioecs.cli._options import UsageError
from aioecs.cli._start.options import StartOptions
from aioecs.cli._task_results import result_members


def beginning(arn: str) -> str:
    """Return the beginning of a task's id, which commands take in its place; the whole was shown before."""
    return short(arn)[:8]


def ending(result: TaskResult, seconds: float) -> Text:
    """Return one line on how a task ended."""
    label, style = {True: ("succeeded", "green"), False: ("failed", "bold red"), None: ("unknown", "bold yellow")}[
        result.succeeded
    ]
    why = "" if result.succeeded else f": {one_line(result.explanation)}"
    return Text.assemble(f"task {beginning(result.task.arn)} ", (label, style), f" after {duration(seconds)}{why}")


def failure(error: ECSError | UsageError) -> str:
    """Return why there is no result, in one sentence."""
    if isinstance(error, StartRefused) and error.failures:
        return f"the task was not started: {'; '.join(map(_refusal, error.failures))}"
    return text_of(error) if isinstance(error, ECSError) else str(error)


def _refusal(failure: Failure) -> str:
    where = f" on {short(failure.arn)}" if failure.arn else ""
    detail = f" ({failure.detail})" if failure.detail else ""
    return f"{failure.reason or 'no reason given'}{where}{detail}"


def is_unknown(error: ECSError | UsageError) -> bool:
    """Whether a task may have been started."""
    starts = error.starts if isinstance(error, ECSError) else ()
    return isinstance(error, StartUnknown) or any(
        start.outcome in (Outcome.STARTED, Outcome.UNKNOWN) for start in starts
    )


def interrupted(outcome: Outcome, arn: str | None) -> str:
    """Return one line on what an interrupt left of a run."""
    name = f"task {beginning(arn)}" if arn else "the task"
    was = f"{name} was stopped" if arn else "the task was started"
    return {
        Outcome.STOPPED: f"Interrupted: {name} was stopped; ECS sends its containers SIGTERM, and SIGKILL later",
        Outcome.STARTED: f"Interrupted: {name} runs on",
        Outcome.UNKNOWN: f"Interrupted: it is not known whether {was}",
        Outcome.REFUSED: "Interrupted: ECS had refused the start",
        Outcome.NOT_SENT: "Interrupted: nothing was started",
    }[outcome]


def where_it_may_be(options: StartOptions, arn: str | None, token: str) -> str | None:
    """Return the command that stops a task that may run, or finds it; None if nothing was sent."""
    if options.local:
        return None  # it is gone with this process
    if arn is not None:
        args = ["stop", arn]
    elif token:
        args = ["tasks", "--cluster", options.cluster or "default", "--started-by", options.started_by or token]
    else:
        return None
    return shlex.join(map(one_line, ["aioecs", *args, *options.access.arguments]))


# ---------------------------------------------------------------------------------------------------------------- JSON


def result_json(result: TaskResult, status: int, *, job: str | None = None, timed_out: bool = False) -> str:
    """Return the result of a task as a line of JSON."""
    named: dict[str, Any] = {} if job is None else {"job": job}
    more = {"timed_out": timed_out, "error": None, "exit_status": status}
    return json.dumps(named | facts(result.task) | result_members(result) | more)


def failure_json(
    error: ECSError | UsageError,
    status: int,
    arn: str | None,
    token: str,
    outcome: Outcome | None = None,
    *,
    job: str | None = None,
) -> str:
    """Return a run without a result as a line of JSON."""
    named: dict[str, Any] = {} if job is None else {"job": job}
    unknown = is_unknown(error) or arn is not None
    more = {
        "task_arn": arn,
        "succeeded": None if unknown and outcome is not Outcome.STOPPED else False,
        "exit_code": None,
        "outcome": outcome.value if outcome is not None else None,
        "error": failure(error),
        "token": token or None,
        "exit_status": status,
    }
    return json.dumps(named | more)


def unfinished_json(arn: str | None, token: str = "") -> str:
    """Return a line of JSON for a run that is left before its outcome is known: its task, or the token of it."""
    members = {
        "task_arn": arn,
        "token": token or None,
        "succeeded": None if arn or token else False,
        "error": "aioecs ended before the outcome was known",
        "exit_status": INTERRUPTED,
    }
    return json.dumps(members)
