"""What is found out before anything starts: where, on which instances, in which container."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs import AccessDeniedException, Client, ClientException, ClusterNotFoundException, ListTasksRequest
from aioecs._model.arn import short
from aioecs.cli._access import Access
from aioecs.cli._lookup import (
    LOCAL_INSTANCES,
    complete_ids,
    complete_task_ids,
    endpoint,
    find_container,
    find_instances,
)
from aioecs.cli._options import UsageError
from aioecs.cli._start.options import StartOptions, validated
from aioecs.testing import LocalECS


async def test_a_real_endpoint() -> None:
    """Without --local a client is made with what was given, and with nothing else."""
    options = StartOptions(access=Access(region="eu-west-1", endpoint_url="http://x"))
    async with endpoint(options) as where:
        assert {"region_name": "eu-west-1", "endpoint_url": "http://x"}.items() <= where.items()


async def test_the_embedded_ecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """--local brings up an ECS with twenty instances, whatever the environment says of proxies and endpoints."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    options = validated(StartOptions(local=True, cluster="mine", access=Access(region="eu-west-1")))
    async with endpoint(options) as where, Client(**where) as client:
        found = await find_instances(client, options)
        assert len(found) == LOCAL_INSTANCES
        assert all(arn.startswith("arn:aws:ecs:eu-west-1:") and "/mine/" in arn for arn in found)
        assert (await client.list_tasks(ListTasksRequest(cluster="mine"))).task_arns == ()


async def test_named_instances_are_not_looked_up(local: LocalECS, client: Client) -> None:
    """Instances that were named are taken as they are."""
    assert await find_instances(client, StartOptions(instances=("a", "b"))) == ("a", "b")
    assert not local.truth.requests


async def test_the_beginnings_of_ids(local: LocalECS, client: Client) -> None:
    """They are made whole; one that begins no id is refused."""
    arn, *_ = local.instance_arns
    begins = short(arn)[:10]
    assert await find_instances(client, StartOptions(instances=(begins, "x" * 32))) == (arn, "x" * 32)
    with pytest.raises(UsageError, match="no container instance of cluster default begins with 0123abcd"):
        await find_instances(client, StartOptions(cluster="default", instances=("0123abcd",)))
    with pytest.raises(UsageError, match="no task of cluster default begins with 0123abcd"):
        await complete_task_ids(client, ["0123abcd"], None)
    whole = ["arn:aws:ecs:us-east-1:123456789012:task/c/x", "0" * 32, "01234567-89ab-cdef-0123-456789abcdef"]
    assert await complete_task_ids(client, whole, None) == whole


@pytest.mark.parametrize("name", ["no task", "abc", "xyzw", "", "service/x"])
async def test_what_names_no_task(client: Client, name: str) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(UsageError, match=r"^TASK: expected an id, its beginning of 4 signs or more, or an ARN, not "):
        await complete_task_ids(client, [name], None)


def test_a_beginning_of_several_ids() -> None:
    """It is refused: which one is meant?"""
    with pytest.raises(UsageError, match="abcd begins the ids of 2 tasks: give more of it"):
        complete_ids(["abcd"], ["t/abcd1", "t/abcd2"], "task of cluster c")
    assert complete_ids(["abcd1", "x", "abc"], ["t/abcd1", "t/abcd2"], "task") == ["t/abcd1", "x", "abc"]


async def test_all_active_instances(local: LocalECS, client: Client) -> None:
    """All instances of the cluster, but those that drain."""
    drained, *active = local.instance_arns
    local.engine.drain(drained)
    assert sorted(await find_instances(client, StartOptions(cluster="default", all_instances=True))) == sorted(active)


async def test_no_instance(local: LocalECS, client: Client) -> None:
    """A cluster without instances is an error, and one that isn't there is ECS's error."""
    local.engine.add_cluster("empty")
    with pytest.raises(UsageError, match="cluster empty has no ACTIVE container instance"):
        await find_instances(client, StartOptions(cluster="empty", all_instances=True))
    with pytest.raises(ClusterNotFoundException):
        await find_instances(client, StartOptions(cluster="none", all_instances=True))


async def test_the_only_container(client: Client) -> None:
    """The task definition's only container is the one."""
    assert await find_container(client, "demo") == "main"


async def test_several_containers(local: LocalECS, client: Client) -> None:
    """Of several, one must be named."""
    local.engine.add_task_definition("two", containers=("app", "log"))
    with pytest.raises(UsageError, match="name the container with --container: two has app, log"):
        await find_container(client, "two")


async def test_no_such_definition(client: Client) -> None:
    """A task definition that isn't there is ECS's error."""
    with pytest.raises(ClientException):
        await find_container(client, "none")


async def test_definition_may_not_be_seen() -> None:
    """Without the permission, the message says which option makes the call unnecessary."""
    async with LocalECS(denied=["DescribeTaskDefinition"]) as local:
        access: dict[str, Any] = {**local.client_kwargs()}
        async with Client(**access) as client:
            with pytest.raises(
                UsageError, match="name the container with --container: the task definition could not"
            ) as refused:
                await find_container(client, "demo")
    assert isinstance(refused.value.__cause__, AccessDeniedException)
