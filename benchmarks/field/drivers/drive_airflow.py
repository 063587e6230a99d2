"""Drives `EcsRunTaskOperator.execute` of Airflow's Amazon provider, without Airflow's scheduler.

A cancel is what Airflow's task runner does on SIGTERM: it calls `on_kill`, and raises in the main thread.
"""

from __future__ import annotations

from types import SimpleNamespace

import storm
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator

running: list[EcsRunTaskOperator] = []


def start(number: int) -> list[str]:
    """Execute one operator, which is asked not to wait for the end of the task."""
    asked = storm.request(number)
    operator = EcsRunTaskOperator(
        task_id=f"start-{number}",
        aws_conn_id=None,
        region_name=storm.REGION,
        cluster="default",
        task_definition=asked["taskDefinition"],
        group=asked["group"],
        overrides={},
        wait_for_completion=False,
    )
    running[:] = [operator]
    operator.execute({"ti": SimpleNamespace(xcom_push=lambda **_: None)})
    return [operator.arn]


def on_kill() -> None:
    """Kill the operator that runs."""
    for operator in running:
        operator.on_kill()


storm.run(start, on_kill)
