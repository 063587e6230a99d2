"""The local ECS as the AWS CLI and boto3 see it: other people's clients, with their own idea of the protocol."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from aioecs.testing import LocalECS

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


@attrs.frozen
class Ran:
    """What a command came to: its exit status, the JSON it printed, and what it complained of."""

    status: int
    out: Any
    complaint: str


async def aws(local: LocalECS, home: Path, *arguments: str) -> Ran:
    """Run `aws ecs …`."""
    program = Path(sys.executable).with_name("aws")
    environment = {
        "HOME": str(home),
        "PATH": str(program.parent),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": local.region,
        "AWS_ENDPOINT_URL": local.endpoint_url,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        program, "ecs", *arguments, "--output", "json", env=environment, stdout=pipe, stderr=pipe
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, json.loads(out) if out.strip() else None, err.decode())


@pytest.mark.skipif(shutil.which("aws", path=str(Path(sys.executable).parent)) is None, reason="no AWS CLI here")
async def test_the_aws_cli_works_on_it(tmp_path: Path) -> None:
    """start-task, list-tasks, describe-tasks, stop-task, list-container-instances, and an error."""
    async with LocalECS() as local:
        listed = await aws(local, tmp_path, "list-container-instances")
        assert listed == Ran(0, {"containerInstanceArns": local.instance_arns}, "")

        started = await aws(
            local, tmp_path, "start-task", "--task-definition", "demo", "--started-by", "cli",
            "--container-instances", *local.instance_arns[:2], "f" * 32,
            "--overrides", '{"containerOverrides":[{"name":"main","command":["echo","ä"]}]}',
        )  # fmt: skip
        assert started.status == 0
        assert {task["containerInstanceArn"] for task in started.out["tasks"]} == set(local.instance_arns[:2])
        assert [each["reason"] for each in started.out["failures"]] == ["MISSING"]
        arns = {task["taskArn"] for task in started.out["tasks"]}

        found, described, refused = await asyncio.gather(
            aws(local, tmp_path, "list-tasks", "--started-by", "cli"),
            aws(local, tmp_path, "describe-tasks", "--tasks", *arns),
            aws(local, tmp_path, "start-task", "--task-definition", "gone", "--container-instances", "f" * 32),
        )
        assert (found.status, set(found.out["taskArns"])) == (0, arns)
        assert {task["lastStatus"] for task in described.out["tasks"]} == {"RUNNING"}
        assert described.out["tasks"][0]["overrides"]["containerOverrides"][0]["command"] == ["echo", "ä"]
        assert refused.status != 0
        assert "(ClientException) when calling the StartTask operation" in refused.complaint

        stopped = await aws(local, tmp_path, "stop-task", "--task", min(arns), "--reason", "enough")
        task = stopped.out["task"]
        assert (stopped.status, task["lastStatus"], task["stoppedReason"]) == (0, "STOPPED", "enough")
        assert [task.arn for task in local.truth.running()] == [max(arns)]


def walk(local: LocalECS) -> None:
    """Do the same with boto3, and read its parsed answers."""
    ecs = boto3.client("ecs", config=ONCE, **local.client_kwargs())
    hosts = ecs.list_container_instances()["containerInstanceArns"]
    assert hosts == local.instance_arns

    started = ecs.start_task(taskDefinition="demo", containerInstances=hosts[:2], startedBy="boto3")
    assert started["failures"] == []
    assert started["ResponseMetadata"]["RequestId"]
    created = started["tasks"][0]["createdAt"]
    assert abs(datetime.now(UTC) - created).total_seconds() < 60
    arns = {task["taskArn"] for task in started["tasks"]}

    assert set(ecs.list_tasks(startedBy="boto3")["taskArns"]) == arns
    described = ecs.describe_tasks(tasks=list(arns), include=["TAGS"])
    assert {task["lastStatus"] for task in described["tasks"]} == {"RUNNING"}
    waiter = ecs.get_waiter("tasks_running")
    waiter.wait(tasks=list(arns), WaiterConfig={"Delay": 0, "MaxAttempts": 1})

    (instance,) = ecs.describe_container_instances(containerInstances=hosts[:1])["containerInstances"]
    assert (instance["runningTasksCount"], instance["agentConnected"]) == (1, True)
    definition = ecs.describe_task_definition(taskDefinition="demo")["taskDefinition"]
    assert definition["containerDefinitions"][0]["name"] == "main"
    assert len(ecs.run_task(taskDefinition="demo", count=3)["tasks"]) == 3
    assert {arn for page in ecs.get_paginator("list_tasks").paginate(PaginationConfig={"PageSize": 2})
            for arn in page["taskArns"]} >= arns  # fmt: skip

    stopped = ecs.stop_task(task=min(arns), reason="enough")["task"]
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "enough")
    ecs.get_waiter("tasks_stopped").wait(tasks=[min(arns)], WaiterConfig={"Delay": 0, "MaxAttempts": 1})
    assert ecs.list_tasks(desiredStatus="STOPPED")["taskArns"] == [min(arns)]

    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.list_tasks(cluster="nowhere")
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="startedBy longer than 36"):
        ecs.start_task(taskDefinition="demo", containerInstances=hosts[:1], startedBy="x" * 37)
    with pytest.raises(ClientError, match="MissingAuthenticationToken"):
        anonymous = {**local.client_kwargs(), "config": ONCE.merge(Config(signature_version=UNSIGNED))}
        boto3.client("ecs", **anonymous).list_tasks()


async def test_boto3_works_on_it() -> None:
    """Its client, waiters, paginators and modelled errors."""
    async with LocalECS() as local:
        await asyncio.to_thread(walk, local)
        assert local.truth.duplicates() == []
