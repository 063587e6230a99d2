"""The local ECS used by the AWS CLI and boto3, which implement the protocol independently."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from aioecs.testing import LocalECS, VirtualClock

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


@attrs.frozen
class Ran:
    """The result of a command: exit status, JSON output, and standard error."""

    status: int
    out: Any
    complaint: str


@attrs.frozen
class Reached:
    """The address of a local ECS in another process."""

    endpoint_url: str
    region: str


def environment(local: LocalECS | Reached, home: Path) -> dict[str, str]:
    """Return the environment of an AWS CLI that reaches this local ECS."""
    return {
        "HOME": str(home),
        "PATH": str(Path(sys.executable).parent),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": local.region,
        "AWS_ENDPOINT_URL": local.endpoint_url,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }


COMMANDS = """
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver
driver = create_clidriver()
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = driver.main(json.loads(line))
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""


@asynccontextmanager
async def aws_commands(local: LocalECS | Reached, home: Path) -> AsyncGenerator[Callable[..., Awaitable[Ran]]]:
    """Open one process that runs many commands `aws ecs …`: to start one for each takes longer than they take."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMANDS, env=environment(local, home), stdin=pipe, stdout=pipe
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    async def run(*arguments: str) -> Ran:
        stdin.write(json.dumps(["ecs", *arguments, "--output", "json"]).encode() + b"\n")
        status, out, err = json.loads(await stdout.readline())
        return Ran(status, json.loads(out) if out.strip() else None, err)

    try:
        yield run
    finally:
        stdin.close()
        await process.wait()


@pytest.mark.skipif(shutil.which("aws", path=str(Path(sys.executable).parent)) is None, reason="no AWS CLI here")
async def test_the_aws_cli_works_on_it(tmp_path: Path) -> None:
    """start-task, list-tasks, describe-tasks, stop-task, list-container-instances, and an error."""
    async with LocalECS() as local, aws_commands(local, tmp_path) as aws:
        listed = await aws("list-container-instances")
        assert listed == Ran(0, {"containerInstanceArns": local.instance_arns}, "")

        started = await aws(
            "start-task", "--task-definition", "demo", "--started-by", "cli",
            "--container-instances", *local.instance_arns[:2], "f" * 32,
            "--overrides", '{"containerOverrides":[{"name":"main","command":["echo","ä"]}]}',
        )  # fmt: skip
        assert started.status == 0
        assert {task["containerInstanceArn"] for task in started.out["tasks"]} == set(local.instance_arns[:2])
        assert [each["reason"] for each in started.out["failures"]] == ["MISSING"]
        arns = {task["taskArn"] for task in started.out["tasks"]}

        found = await aws("list-tasks", "--started-by", "cli")
        described = await aws("describe-tasks", "--tasks", *arns)
        refused = await aws("start-task", "--task-definition", "gone", "--container-instances", "f" * 32)
        assert (found.status, set(found.out["taskArns"])) == (0, arns)
        assert {task["lastStatus"] for task in described.out["tasks"]} == {"RUNNING"}
        assert described.out["tasks"][0]["overrides"]["containerOverrides"][0]["command"] == ["echo", "ä"]
        assert refused.status != 0
        assert "(ClientException) when calling the StartTask operation" in refused.complaint

        stopped = await aws("stop-task", "--task", min(arns), "--reason", "enough")
        task = stopped.out["task"]
        assert (stopped.status, task["lastStatus"], task["stoppedReason"]) == (0, "STOPPED", "enough")
        assert [task.arn for task in local.truth.running()] == [max(arns)]


def start_describe_and_stop(local: LocalECS) -> None:
    """Do the same with boto3, and check its parsed responses."""
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
    """Its client, waiters, paginators and modeled errors."""
    async with LocalECS() as local:
        await asyncio.to_thread(start_describe_and_stop, local)
        assert local.truth.duplicates() == []


NETWORK = "awsvpcConfiguration={subnets=[subnet-1,subnet-2],securityGroups=[sg-1],assignPublicIp=ENABLED}"


@pytest.mark.skipif(shutil.which("aws", path=str(Path(sys.executable).parent)) is None, reason="no AWS CLI here")
async def test_the_aws_cli_runs_a_fargate_task_to_its_end(tmp_path: Path) -> None:
    """Cluster, definition, run, both waiters, the task's own end, and deleting everything."""
    clock = VirtualClock()
    async with (
        LocalECS(instances=0, clock=clock, provisioning_seconds=60, running_seconds=3600, exit_code=3) as local,
        aws_commands(local, tmp_path) as command,
    ):

        async def done(*arguments: str) -> Any:
            ran = await command(*arguments)
            assert (ran.status, ran.complaint) == (0, "")
            return ran.out

        blue = ("--cluster", "blue")
        created = await done("create-cluster", "--cluster-name", "blue", "--capacity-providers", "FARGATE",
                             "FARGATE_SPOT", "--settings", "name=containerInsights,value=enabled")  # fmt: skip
        assert created["cluster"]["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
        containers = '[{"name":"main","image":"busybox","command":["sleep","60"]}]'
        registered = await done("register-task-definition", "--family", "job", "--network-mode", "awsvpc", "--cpu",
                                "256", "--memory", "512", "--requires-compatibilities", "FARGATE",
                                "--container-definitions", containers)  # fmt: skip
        assert registered["taskDefinition"]["compatibilities"] == ["EC2", "FARGATE"]
        run = ("run-task", *blue, "--task-definition", "job", "--client-token", "once", "--network-configuration",
               NETWORK, "--capacity-provider-strategy", "capacityProvider=FARGATE_SPOT,weight=1")  # fmt: skip
        (task,) = (await done(*run))["tasks"]
        assert (task["lastStatus"], task["capacityProviderName"]) == ("PROVISIONING", "FARGATE_SPOT")
        assert [each["taskArn"] for each in (await done(*run))["tasks"]] == [task["taskArn"]]
        refused = await command(*run, "--count", "2")
        assert "(ConflictException)" in refused.complaint

        clock.advance(60)
        tasks = (*blue, "--tasks", task["taskArn"])
        await done("wait", "tasks-running", *tasks)
        clock.advance(3600)
        await done("wait", "tasks-stopped", *tasks)
        (stopped,) = (await done("describe-tasks", *tasks))["tasks"]
        assert (stopped["stopCode"], stopped["containers"][0]["exitCode"]) == ("EssentialContainerExited", 3)
        assert await done("list-tasks", *blue, "--launch-type", "FARGATE", "--desired-status", "STOPPED") == {
            "taskArns": [task["taskArn"]]
        }

        await done("deregister-task-definition", "--task-definition", "job:1")
        deleted = await done("delete-task-definitions", "--task-definitions", "job:1")
        assert (deleted["taskDefinitions"][0]["status"], deleted["failures"]) == ("DELETE_IN_PROGRESS", [])
        assert (await done("delete-cluster", *blue))["cluster"]["status"] == "INACTIVE"
        assert len(local.truth.tasks()) == 1


def run_fargate_task(local: LocalECS, clock: VirtualClock) -> None:
    """Run a Fargate task to its end with boto3 and its waiters."""
    ecs = boto3.client("ecs", config=ONCE, **local.client_kwargs())
    once = {"Delay": 0, "MaxAttempts": 1}
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="Network Configuration must be provided"):
        ecs.run_task(taskDefinition="demo", launchType="FARGATE")
    started = ecs.run_task(taskDefinition="demo", launchType="FARGATE", networkConfiguration=network, count=2)
    arns = [task["taskArn"] for task in started["tasks"]]
    assert len(arns) == 2
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig=once)
    clock.advance(30)
    ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig=once)
    described = ecs.describe_tasks(tasks=arns)["tasks"]
    addresses = {task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] for task in described}
    assert len(addresses) == 2
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="execute command was not enabled"):
        ecs.execute_command(task=arns[0], command="sh", interactive=True)
    ecs.stop_task(task=arns[0], reason="enough")
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        ecs.get_waiter("tasks_stopped").wait(tasks=arns, WaiterConfig=once)
    clock.advance(600)
    ecs.get_waiter("tasks_stopped").wait(tasks=arns, WaiterConfig=once)
    ends = {task["taskArn"]: task["stopCode"] for task in ecs.describe_tasks(tasks=arns)["tasks"]}
    assert ends == {arns[0]: "UserInitiated", arns[1]: "EssentialContainerExited"}


async def test_boto3_runs_a_fargate_task_to_its_end() -> None:
    """PROVISIONING, RUNNING, stopped or ended by itself."""
    clock = VirtualClock()
    async with LocalECS(instances=0, fargate=True, clock=clock, provisioning_seconds=30, running_seconds=600) as local:
        await asyncio.to_thread(run_fargate_task, local, clock)


@pytest.mark.skipif(shutil.which("aws", path=str(Path(sys.executable).parent)) is None, reason="no AWS CLI here")
async def test_the_aws_cli_runs_a_task_on_aioecs_local(tmp_path: Path) -> None:
    """In its own process: the task ends with the given exit code."""
    definition = tmp_path / "job.json"
    container = {"name": "main", "image": "busybox"}
    definition.write_text(json.dumps({"family": "job", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
                                      "containerDefinitions": [container]}))  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aioecs.cli", "local", "--json", "--fargate", "--running", "0", "--exit-code", "job=7",
        "--task-definition", str(definition), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = json.loads(await process.stdout.readline())
        served = Reached(said["endpoint_url"], said["region"])
        async with aws_commands(served, tmp_path) as aws:
            run = await aws("run-task", "--task-definition", "job", "--network-configuration", NETWORK)
            assert (run.status, run.out["failures"], run.out["tasks"][0]["launchType"]) == (0, [], "FARGATE")
            arn = run.out["tasks"][0]["taskArn"]
            await aws("wait", "tasks-stopped", "--tasks", arn)
            described = await aws("describe-tasks", "--tasks", arn)
        assert described.out["tasks"][0]["containers"][0]["exitCode"] == 7
    finally:
        process.terminate()
        await process.wait()
