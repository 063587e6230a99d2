"""Records of RunTask calls with quick clocks, and what ECS answers to them."""

from __future__ import annotations

from datetime import UTC, datetime

from aioecs import Failure, Retries, RunTaskRequest, RunTaskResponse, Task, Timeouts
from aioecs._logic.calls.call_record import CallRecord
from aioecs._model.attempt import Answered

TOKEN = "aioecs-token"


def run_record(count: int = 1, **given: object) -> CallRecord:
    """Make the record of a RunTask."""
    settings: dict[str, object] = {
        "request": RunTaskRequest(task_definition="demo", count=count),
        "token": TOKEN,
        "timeouts": Timeouts(consistency=30),
        "retries": Retries(),
        "delivery": "at_most_once",
        "deadline": 90.0,
    }
    return CallRecord(**(settings | given))  # type: ignore[arg-type]


def run_task_at(moment: float) -> Task:
    """Make a task that ECS placed where it liked, at this time."""
    return Task(
        task_arn=f"arn/{moment}",
        task_definition_arn="arn/demo:1",
        created_at=datetime.fromtimestamp(moment, UTC),
        started_by=TOKEN,
    )


def answered_run(*tasks: Task, failures: tuple[Failure, ...] = ()) -> Answered[RunTaskResponse]:
    """Make an answer to a RunTask."""
    return Answered(RunTaskResponse(tasks=tasks, failures=failures))
