"""A second opinion: the same calls to moto's server and to the local ECS, and where the two differ.

moto speaks the protocol and keeps tasks; it does not enforce what ECS enforces. Each difference is asserted for both
sides, so that a moto that learns better is noticed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from aioecs.testing import LocalECS

# moto's own: werkzeug's server leaves its sockets to the garbage collector, and datetime.utcnow is deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=20)
UNKNOWN = "f" * 32


@attrs.frozen
class Side:
    """One of the two servers, with a client and two instances."""

    name: str
    ecs: Any
    hosts: list[str]

    @property
    def is_local(self) -> bool:
        """Whether it is the local ECS."""
        return self.name == "local"

    def start(self, hosts: list[str], **members: Any) -> Any:
        """Start tasks."""
        return self.ecs.start_task(cluster="lab", taskDefinition="demo", containerInstances=hosts, **members)

    def error(self, call: Callable[[], Any]) -> str | None:
        """Return the code of the error that a call raises, or None."""
        try:
            call()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None


def client(service: str = "ecs", **members: Any) -> Any:
    """Return a boto3 client without retries."""
    return boto3.client(service, config=ONCE, **members)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Run moto's server on a free port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def register(ecs: Any) -> None:
    """Register the definition that both sides use."""
    container = {"name": "main", "image": "busybox", "cpu": 10, "memory": 10}
    ecs.register_task_definition(family="demo", containerDefinitions=[container])


def moto_side(endpoint: str) -> Side:
    """Set up moto, whose container instances must be EC2 instances that it knows."""
    where = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    ecs, ec2 = client(**where, **keys), client("ec2", **where, **keys)
    ecs.create_cluster(clusterName="lab")
    register(ecs)
    machines = ec2.run_instances(ImageId="ami-12c6146b", MinCount=2, MaxCount=2)["Instances"]
    registered = [
        ecs.register_container_instance(
            cluster="lab", instanceIdentityDocument=json.dumps({"instanceId": machine["InstanceId"]})
        )
        for machine in machines
    ]
    return Side("moto", ecs, [each["containerInstance"]["containerInstanceArn"] for each in registered])


@asynccontextmanager
async def sides(moto: str) -> AsyncGenerator[list[Side]]:
    """Yield both servers."""
    async with LocalECS(cluster="lab", instances=2) as local:
        yield [
            await asyncio.to_thread(moto_side, moto),
            Side("local", client(**local.client_kwargs()), local.instance_arns),
        ]


async def on_both(moto: str, check: Callable[[Side], None]) -> None:
    """Run a check on both, in a thread."""
    async with sides(moto) as both:
        for side in both:
            await asyncio.to_thread(check, side)


async def test_both_answer_alike(moto: str) -> None:
    """List, start, describe, list and stop: the responses have the same form."""

    def check(side: Side) -> None:
        listed = side.ecs.list_container_instances(cluster="lab")["containerInstanceArns"]
        assert set(side.hosts) <= set(listed)
        (task,) = side.start(side.hosts[:1], startedBy="walk")["tasks"]
        assert task["containerInstanceArn"] == side.hosts[0]
        assert task["taskArn"].startswith("arn:aws:ecs:us-east-1:123456789012:task/lab/")
        assert task["taskDefinitionArn"].split(":")[-2].endswith("task-definition/demo")
        assert (task["desiredStatus"], task["startedBy"], task["group"]) == ("RUNNING", "walk", "family:demo")
        assert ("createdAt" in task, "version" in task) == (side.is_local, side.is_local)
        (described,) = side.ecs.describe_tasks(cluster="lab", tasks=[task["taskArn"]])["tasks"]
        assert described["taskArn"] == task["taskArn"]
        assert side.ecs.list_tasks(cluster="lab", startedBy="walk")["taskArns"] == [task["taskArn"]]
        stopped = side.ecs.stop_task(cluster="lab", task=task["taskArn"], reason="enough")["task"]
        assert (stopped["desiredStatus"], stopped["stoppedReason"]) == ("STOPPED", "enough")
        (host,) = side.ecs.describe_container_instances(cluster="lab", containerInstances=side.hosts[:1])[
            "containerInstances"
        ]
        names = {each["name"] for each in host["remainingResources"]}
        assert {"CPU", "MEMORY", "PORTS", "PORTS_UDP"} <= names
        assert side.error(lambda: side.ecs.list_tasks(cluster="nowhere")) == "ClusterNotFoundException"

    await on_both(moto, check)


async def test_where_moto_does_not_check(moto: str) -> None:
    """Eleven instances, a long startedBy, an unknown override: ECS refuses them, moto starts tasks."""

    def check(side: Side) -> None:
        refusal = "InvalidParameterException" if side.is_local else None
        assert side.error(lambda: side.start(side.hosts[:1] * 11)) == refusal
        assert side.error(lambda: side.start(side.hosts[:1], startedBy="x" * 37)) == refusal
        assert side.error(lambda: side.start(side.hosts[:1], startedBy="no blanks")) == refusal
        stray = {"containerOverrides": [{"name": "nobody"}]}
        assert side.error(lambda: side.start(side.hosts[:1], overrides=stray)) == refusal

    await on_both(moto, check)


async def test_where_moto_never_answers_a_failure(moto: str) -> None:
    """Over capacity and draining are `failures` in ECS; moto starts the tasks."""

    def check(side: Side) -> None:
        large = {"name": "main", "image": "busybox", "cpu": 3000, "memory": 10}
        side.ecs.register_task_definition(family="large", containerDefinitions=[large])
        answer = side.ecs.start_task(cluster="lab", taskDefinition="large", containerInstances=side.hosts[:1] * 3)
        assert [each["reason"] for each in answer["failures"]] == (["RESOURCE:CPU"] * 2 if side.is_local else [])
        assert len(answer["tasks"]) == (1 if side.is_local else 3)
        side.ecs.update_container_instances_state(cluster="lab", containerInstances=side.hosts[1:], status="DRAINING")
        answer = side.start(side.hosts[1:])
        assert (len(answer["tasks"]), len(answer["failures"])) == ((0, 1) if side.is_local else (1, 0))

    await on_both(moto, check)


async def test_where_moto_crashes(moto: str) -> None:
    """An unknown instance is a MISSING failure in ECS and a 500 in moto."""

    def check(side: Side) -> None:
        if side.is_local:
            assert [each["reason"] for each in side.start([UNKNOWN])["failures"]] == ["MISSING"]
        else:
            with pytest.raises(ClientError) as raised:
                side.start([UNKNOWN])
            assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500

    await on_both(moto, check)


async def test_where_both_refuse_with_different_codes(moto: str) -> None:
    """No instance at all, and an unknown definition."""

    def check(side: Side) -> None:
        empty = side.error(lambda: side.start([]))
        assert empty == ("InvalidParameterException" if side.is_local else "ClientException")
        unknown = side.error(
            lambda: side.ecs.start_task(cluster="lab", taskDefinition="gone", containerInstances=side.hosts[:1])
        )
        assert unknown == "ClientException"

    await on_both(moto, check)


async def test_where_moto_keeps_the_requested_order(moto: str) -> None:
    """ECS guarantees no order, and the local ECS never keeps the requested one; moto always does."""

    def check(side: Side) -> None:
        answered = [task["containerInstanceArn"] for task in side.start(side.hosts)["tasks"]]
        assert sorted(answered) == sorted(side.hosts)
        assert (answered == side.hosts) is not side.is_local

    await on_both(moto, check)


async def test_where_moto_lists_differently(moto: str) -> None:
    """In ECS startedBy is the only filter; moto accepts others beside it."""

    def check(side: Side) -> None:
        side.start(side.hosts[:1], startedBy="filter")
        both = side.error(lambda: side.ecs.list_tasks(cluster="lab", startedBy="filter", family="demo"))
        assert both == ("InvalidParameterException" if side.is_local else None)

    await on_both(moto, check)
