"""Drives `ECSWorker._prepare_and_create_task` of prefect-aws, with its own retries, for a known task definition.

A cancel is a signal in the thread that starts the task, as when the worker's process is ended.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace

import boto3
import storm
from prefect_aws.workers.ecs_worker import ECSWorker

client = boto3.client("ecs")


class Worker(ECSWorker):
    """The worker, whose task definition is registered already."""

    def __init__(self) -> None:
        """Connect to no server of Prefect."""

    def _retrieve_task_definition(self, *_: object) -> dict[str, object]:
        return {"family": "demo"}

    def _validate_task_definition(self, *_: object) -> None:
        """Accept it."""

    def _prepare_task_run_request(self, configuration: SimpleNamespace, *_: object) -> dict[str, object]:
        return dict(storm.request(configuration.number))

    def _report_task_run_creation_failure(self, configuration: object, task_run: object, exc: Exception) -> None:
        raise exc


def start(number: int) -> list[str]:
    """Create one task run."""
    settings = SimpleNamespace(
        number=number,
        task_definition=None,
        task_run_request={"taskDefinition": "demo"},
        cluster=None,
    )
    flow_run = SimpleNamespace(deployment_id=None, flow_id=number, id=number)
    logger = logging.getLogger("prefect")
    arn, _ = Worker()._prepare_and_create_task(logger, client, settings, flow_run)
    return [arn]


storm.run(start)
