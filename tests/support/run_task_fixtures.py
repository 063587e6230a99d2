"""RunTask in tests: a client of a local ECS with short timeouts, and call records with what ECS answers to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import aioecs
from aioecs import Failure, Retries, RunTaskRequest, RunTaskResponse, Task, Timeouts
from aioecs._logic.calls.call_record import CallRecord
from aioecs._model.attempt import Answered
from aioecs.testing import LocalECS

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


CLOCKS = Timeouts(attempt=1, consistency=0.5, settle=3, drain=3)
SOON = Retries(initial_backoff=0.02, max_backoff=0.2)
DEMO = RunTaskRequest(task_definition="demo")
FARGATE = RunTaskRequest(
    task_definition="demo",
    launch_type="FARGATE",
    network_configuration=aioecs.NetworkConfiguration(
        awsvpc_configuration=aioecs.AwsVpcConfiguration(subnets=["subnet-1"])
    ),
)


def opened(local: LocalECS, **settings: Any) -> aioecs.Client:
    """Make a client of a local ECS with short clocks."""
    return aioecs.Client(**{**local.client_kwargs(), "timeouts": CLOCKS, "retries": SOON, **settings})
