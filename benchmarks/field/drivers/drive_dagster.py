"""Drives how `EcsRunLauncher` of dagster-aws starts a run: its `_run_task`, in its own backoff.

A cancel is a signal in the thread that starts the task, as when the daemon's process is ended.
"""

from __future__ import annotations

import boto3
import storm
from dagster._utils.backoff import backoff
from dagster_aws.ecs.launcher import DEFAULT_RUN_TASK_RETRIES, EcsRunLauncher, RetryableEcsException


class Launcher(EcsRunLauncher):
    """The launcher, without an instance of Dagster."""

    def __init__(self) -> None:
        """Make the client that it uses."""
        self.ecs = boto3.client("ecs")


launcher = Launcher()


def start(number: int) -> list[str]:
    """Start one task, as `_start_task_for_run` does."""
    retries = int(DEFAULT_RUN_TASK_RETRIES)
    task = backoff(
        launcher._run_task, retry_on=(RetryableEcsException,), kwargs=storm.request(number), max_retries=retries
    )
    return [task["taskArn"]]


storm.run(start)
