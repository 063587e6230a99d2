"""A client of a local ECS with short clocks, for tests of RunTask on real sockets."""

from __future__ import annotations

from typing import Any

import aioecs
from aioecs import Retries, RunTaskRequest, Timeouts
from aioecs.testing import LocalECS

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
