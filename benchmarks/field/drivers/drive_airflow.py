"""Drives `EcsRunTaskOperator.execute` of Airflow's Amazon provider, without Airflow's scheduler.

A cancel is what Airflow's task runner does on SIGTERM: it calls `on_kill`, and raises in the main thread.
"""

from __future__ import annotations

from types import SimpleNamespace

import storm
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator

prepared: dict[int, EcsRunTaskOperator] = {}


def prepare(number: int) -> EcsRunTaskOperator:
    """Make an operator, which is asked not to wait for the end of the task, and let it open its client."""
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
    assert operator.client
    prepared.clear()
    prepared[number] = operator
    return operator


def start(number: int) -> list[str]:
    """Execute one operator."""
    operator = prepared[number] if storm.CANCELS else prepare(number)
    operator.execute({"ti": SimpleNamespace(xcom_push=lambda **_: None)})
    return [operator.arn]


def on_kill() -> None:
    """Kill the operator that runs."""
    for operator in prepared.values():
        operator.on_kill()


storm.run(start, on_kill, prepare)
