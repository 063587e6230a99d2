"""_local: LocalECS as tests use it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import aioecs.testing
from aioecs.testing import Bucket, Fault, LocalECS, LocalECSError


async def call(local: LocalECS, operation: str, request: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Send one request."""
    headers = {
        "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        "Authorization": "AWS4-HMAC-SHA256 Credential=local/x",
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(local.endpoint_url, data=json.dumps(request), headers=headers, **options) as answer,
    ):
        body: dict[str, Any] = await answer.json(content_type=None)
        return body


async def test_it_is_ready_for_a_first_task() -> None:
    """It has a cluster, three instances, a definition, and the settings that a client needs."""
    async with LocalECS() as local:
        assert local.endpoint_url == f"http://127.0.0.1:{local.port}"
        assert local.client_kwargs() == {
            "endpoint_url": local.endpoint_url,
            "region_name": "us-east-1",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
        }
        assert len(local.instance_arns) == 3
        request = {"taskDefinition": "demo", "containerInstances": local.instance_arns}
        assert len((await call(local, "StartTask", request))["tasks"]) == 3
        assert len(local.truth.running()) == 3
        assert repr(local) == f"<LocalECS {local.endpoint_url}, Truth(calls=1, tasks=3, requests=1), 0 faults>"


async def test_clusters_are_given_by_name() -> None:
    """Each with a number of instances; `instance_arns` lists those of the first."""
    async with LocalECS(
        clusters={"blue": 2, "red": 1}, cpu=10, memory=20, region="eu-west-1", partition="aws"
    ) as local:
        assert [arn.split("/")[1] for arn in local.instance_arns] == ["blue", "blue"]
        assert local.region == "eu-west-1"
        assert len(local.engine.instance_arns("red")) == 1
        request = {
            "cluster": "red",
            "taskDefinition": "demo",
            "containerInstances": local.engine.instance_arns("red") * 2,
        }
        answer = await call(local, "StartTask", request)
        assert (len(answer["tasks"]), answer["failures"][0]["reason"]) == (1, "RESOURCE:CPU")
    assert len(LocalECS(cluster="only", instances=1).instance_arns) == 1


async def test_settings_reach_the_engine() -> None:
    """Clock, lag, task lifecycle, buckets and faults."""
    now = [1000.0]
    options: dict[str, Any] = {"clock": lambda: now[0], "visibility_lag": 5.0, "running_seconds": 10.0}
    async with LocalECS(**options, throttle={"modify": Bucket(1, 1)}, faults=[Fault("error", skip=2)]) as local:
        request = {"taskDefinition": "demo", "containerInstances": local.instance_arns[:1]}
        assert (await call(local, "StartTask", request))["tasks"]
        assert (await call(local, "StartTask", request))["__type"] == "ThrottlingException"
        assert (await call(local, "StartTask", request))["__type"] == "ServerException"
        assert (await call(local, "ListTasks", {}))["taskArns"] == []
        now[0] += 5
        assert len((await call(local, "ListTasks", {}))["taskArns"]) == 1
        now[0] += 5
        assert local.truth.running() == []
        local.faults.add(Fault("throttle"))
        assert (await call(local, "StartTask", request))["__type"] == "ThrottlingException"


async def test_the_published_buckets_have_a_name() -> None:
    """`documented` sets the limits of a whole account."""
    local = LocalECS(throttle="documented", clock=lambda: 0.0)
    assert sum(local.engine.answer("ListTasks", {}).error is None for _ in range(150)) == 100


async def test_leaving_it_ends_tasks_and_sockets() -> None:
    """No task is left on the loop, and no socket on the port."""
    before = asyncio.all_tasks()
    async with LocalECS() as local:
        request = {"taskDefinition": "demo", "containerInstances": local.instance_arns}
        await call(local, "StartTask", request)
        idle = await asyncio.open_connection("127.0.0.1", local.port)
    assert asyncio.all_tasks() == before
    idle[1].close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", local.port)
    assert local.truth.tasks()


async def test_it_ends_when_its_block_is_cancelled() -> None:
    """As when a command is interrupted."""
    entered = asyncio.Event()

    async def serve() -> None:
        async with LocalECS():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_serves_once() -> None:
    """It has no address before it is entered, and can't be entered twice."""
    local = LocalECS(port=1234)
    assert local.port == 1234
    assert repr(local).startswith("<LocalECS not serving")
    with pytest.raises(RuntimeError, match="is not serving"):
        _ = local.endpoint_url
    await local.__aexit__(None, None, None)
    async with LocalECS() as other:
        with pytest.raises(RuntimeError, match="entered only once"):
            await other.__aenter__()


async def test_a_port_in_use_says_so() -> None:
    """Naming host and port; it may be entered later."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        local = LocalECS(port=port)
        with pytest.raises(LocalECSError, match=f"127.0.0.1:{port}: the address is in use"):
            await local.__aenter__()
    async with local:
        assert local.port == port


async def test_it_serves_ipv6() -> None:
    """With the brackets that a URL needs."""
    try:
        async with LocalECS(host="::1") as local:
            assert local.endpoint_url == f"http://[::1]:{local.port}"
            assert await call(local, "ListTasks", {}) == {"taskArns": []}
    except LocalECSError:
        pytest.skip("this machine has no IPv6 loopback")


@pytest.mark.parametrize("kind", ["reset", "truncated"])
async def test_it_serves_tls(tmp_path: Path, kind: Any) -> None:
    """Faults included."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command: Sequence[str] = (
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
        "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with LocalECS(ssl_context=context, faults=[Fault(kind, operation="ListTasks")]) as local:
        assert local.endpoint_url.startswith("https://127.0.0.1:")
        with pytest.raises(aiohttp.ClientError):
            await call(local, "ListTasks", {}, ssl=False)
        assert await call(local, "ListTasks", {}, ssl=False) == {"taskArns": []}


async def test_events_arrive_as_they_happen() -> None:
    """Each iterator gets the events from its call on, without further requests; it ends with the local ECS."""
    async with LocalECS(instances=1, pending_seconds=0.05, running_seconds=0.05) as local:
        early, other = local.events(), local.events()
        request = {"taskDefinition": "demo", "containerInstances": local.instance_arns}
        await call(local, "StartTask", request)
        statuses = [[(await anext(events))["detail"]["lastStatus"] for _ in range(4)] for events in (early, other)]
        assert statuses == [["PENDING", "RUNNING", "STOPPING", "STOPPED"]] * 2
        await other.aclose()
        pending = asyncio.ensure_future(anext(early))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await pending


async def test_a_closed_iterator_of_events_is_removed() -> None:
    """It is no longer a listener."""
    async with LocalECS() as local:
        events = local.events()
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await events.aclose()
        assert local._listeners == {}


def test_the_package_names_what_it_has() -> None:
    """Every public name exists and has a docstring."""
    for name in aioecs.testing.__all__:
        thing = getattr(aioecs.testing, name)
        assert name == "DOCUMENTED" or thing.__doc__, name


async def test_a_local_ecs_for_fargate() -> None:
    """`demo` runs on Fargate by default, beside the given task definitions."""
    container = {"name": "main", "image": "i", "memory": 4}
    given = [{"family": "own", "containerDefinitions": [container]}]
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    async with LocalECS(instances=0, fargate=True, task_definitions=given) as local:
        request = {"taskDefinition": "demo", "networkConfiguration": network}
        (task,) = local.engine.call("RunTask", request)["tasks"]
        assert (task["launchType"], task["capacityProviderName"]) == ("FARGATE", "FARGATE")
        families = local.engine.call("ListTaskDefinitionFamilies")["families"]
        assert families == ["demo", "own"]
