"""FaultProxy: any client, any endpoint, scripted faults, and the truth; with real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import boto3
import pytest
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from raw_server import Exchange, RawServer
from virtual_time import until

import aioecs
from aioecs.testing import Fault, FaultProxy, FaultProxyError, LocalECS, LocalECSError
from aioecs.testing._serving.backend import TARGET
from tests.testing.test_server import Connection

TIMEOUTS = aioecs.Timeouts(connect=1, attempt=0.4, consistency=0.2, settle=1, drain=1)
ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=30)
LIST = f"X-Amz-Target: {TARGET}ListTasks\r\nAuthorization: x\r\nContent-Length: 2"
EXPECT = "Content-Length: 2\r\nExpect: 100-continue"
SIGNED = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0"
AFTER = [
    Fault("reset", when="after"),
    Fault("close", when="after"),
    Fault("hang", when="after"),
    Fault("truncated", when="after"),
    Fault("garbage", when="after"),
    Fault("empty", when="after"),
    Fault("error", when="after", status=500),
    Fault("error", when="after", status=503, code="ServiceUnavailable"),
    Fault("mutated", when="after", find='"startedBy":"', replace='"startedBy":"x'),
    Fault("delay", when="after", seconds=0.01),
]
BEFORE = [
    Fault("reset", when="unread"),
    Fault("close"),
    Fault("hang"),
    Fault("error", status=503),
    Fault("throttle"),
    Fault("delay", seconds=0.01),
]


def start(local: LocalECS, **members: Any) -> dict[str, Any]:
    """Return the members of a start."""
    return {"taskDefinition": "demo", "containerInstances": local.instance_arns[:1], "startedBy": "t", **members}


@pytest.mark.parametrize("fault", [*BEFORE, *AFTER], ids=lambda fault: f"{fault.kind}-{fault.when}-{fault.status}")
async def test_aioecs_starts_once_through_each_fault(fault: Fault) -> None:
    """The answer is right, whatever hit the first request; both records agree."""
    async with LocalECS() as local, FaultProxy(local.endpoint_url, [fault]) as proxy:
        async with aioecs.Client(**proxy.client_kwargs(), timeouts=TIMEOUTS, delivery="at_least_once") as client:
            request = aioecs.StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
            response = await client.start_task(request)
        assert sorted(task.arn for task in response.tasks) == sorted(task.arn for task in local.truth.running())
        assert len(response.tasks) == 3
        await proxy.refresh()
        assert {task.arn for task in proxy.truth.tasks()} == {task.arn for task in local.truth.tasks()}
        first = proxy.truth.calls("StartTask")[0]
        assert (first.fault, first.executed) == (fault.kind, fault.when == "after" or fault.kind == "delay")


async def test_boto3_starts_twice_and_the_truth_shows_it() -> None:
    """A lost answer makes its retries start again."""
    async with LocalECS() as local, FaultProxy(local.endpoint_url, [Fault("close", when="after")]) as proxy:
        ecs = boto3.client("ecs", **proxy.client_kwargs())
        answer = await asyncio.to_thread(lambda: ecs.start_task(**start(local)))
        assert len(answer["tasks"]) == 1
        assert [call.answered for call in proxy.truth.sends("t")] == [False, True]
        (duplicate,) = proxy.truth.duplicates()
        assert set(duplicate.tasks) == {task.arn for task in local.truth.tasks()}


async def test_aiobotocore_learns_nothing_of_a_task_that_runs() -> None:
    """Without retries it raises, while the task is there."""
    async with (
        LocalECS() as local,
        FaultProxy(local.endpoint_url, [Fault("reset", when="after")]) as proxy,
        get_session().create_client("ecs", **proxy.client_kwargs(), config=ONCE) as ecs,
    ):
        with pytest.raises(BotoCoreError):
            await ecs.start_task(**start(local))
        assert len(proxy.truth.running()) == 1
        assert (await ecs.describe_tasks(tasks=[proxy.truth.tasks()[0].arn]))["tasks"]


async def test_errors_of_the_upstream_pass_as_they_are() -> None:
    """With code, message and request id."""
    async with LocalECS(denied=["StopTask"]) as local, FaultProxy(local.endpoint_url) as proxy:
        ecs = boto3.client("ecs", **proxy.client_kwargs(), config=ONCE)
        with pytest.raises(ClientError, match="not authorized to perform: ecs:StopTask") as raised:
            await asyncio.to_thread(lambda: ecs.stop_task(task="f" * 32))
        assert raised.value.response["ResponseMetadata"]["RequestId"]
        assert proxy.truth.calls()[0].error == "AccessDeniedException"


async def test_a_hundred_calls_at_once() -> None:
    """Each answer goes to its own client, and the two records have the same tasks and tokens."""
    async with LocalECS(cpu=10**6, memory=10**6) as local:
        storm = [Fault("reset", when="after", chance=0.2, times=None), Fault("error", chance=0.2, times=None)]
        async with (
            FaultProxy(local.endpoint_url, storm) as proxy,
            aioecs.Client(**proxy.client_kwargs(), timeouts=TIMEOUTS) as client,
        ):
            request = aioecs.StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:1])
            report = await client.start_tasks([request] * 1000)
        assert len(report.started) == len(local.truth.running())
        assert proxy.truth.tasks_by_token().keys() == local.truth.tasks_by_token().keys()
        assert {task.arn for task in proxy.truth.tasks()} == {task.arn for task in local.truth.tasks()}


async def test_requests_in_other_forms_of_http() -> None:
    """A chunked body, and one that waits for 100-continue, arrive as a whole; other methods and paths pass nowhere."""
    async with LocalECS() as local, FaultProxy(local.endpoint_url) as proxy:
        port = int(proxy.url.rpartition(":")[2])
        for lines, body in (("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n"), (EXPECT, b"{}")):
            async with Connection(port) as connection:
                head = f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {TARGET}ListTasks\r\n"
                connection.writer.write(f"{head}Authorization: {SIGNED}\r\n{lines}\r\n\r\n".encode())
                if lines == EXPECT:
                    assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
                connection.writer.write(body)
                assert (await connection.read()).json() == {"taskArns": []}
        for method, path in (("GET", "/"), ("POST", "/other"), ("CONNECT", "evil.example:443"), ("PUT", "/")):
            async with Connection(port) as connection:
                connection.writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert (await connection.read()).status in (400, 404)
        assert local.truth.requests == {"ListTasks": 2}


async def test_an_upstream_that_is_gone_is_a_502() -> None:
    """Requests of callers end at once, and are recorded as not executed."""
    async with LocalECS() as local:
        url = local.endpoint_url
    async with FaultProxy(url) as proxy:
        ecs = boto3.client("ecs", **proxy.client_kwargs(), config=ONCE)
        with pytest.raises(ClientError, match="BadGateway"):
            await asyncio.to_thread(lambda: ecs.stop_task(task="f" * 32))
        (call,) = proxy.truth.calls()
        assert (call.executed, call.error) == (False, "UpstreamNotReached")
        with pytest.raises(RuntimeError, match="only once"):
            await proxy.__aenter__()


async def test_a_real_endpoint_gets_a_signature_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made with the machine's credentials, for clients that know the random access key id; the secret never shows."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OWNKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, b'{"taskArns":[]}')

    async with RawServer(behave) as server, FaultProxy(server.url, sign="own", region="eu-west-1") as proxy:
        assert proxy.signs
        ecs = boto3.client("ecs", **proxy.client_kwargs(), config=ONCE)
        assert (await asyncio.to_thread(ecs.list_tasks))["taskArns"] == []
        assert "Credential=OWNKEY/" in server.heads[0]
        assert "own-secret" not in f"{server.heads}{proxy!r}{proxy.client_kwargs()}{proxy.truth.as_json()}"
        stranger = boto3.client("ecs", **{**proxy.client_kwargs(), "aws_access_key_id": "x"}, config=ONCE)
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            await asyncio.to_thread(stranger.list_tasks)
        assert len(server.heads) == 1


async def test_a_client_can_sign_for_the_endpoint_and_use_it_as_an_http_proxy() -> None:
    """Its own signature arrives, for the endpoint's host."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, b'{"taskArns":[]}')

    async with RawServer(behave) as server, FaultProxy(server.url) as proxy:
        access = {**proxy.client_kwargs(), "endpoint_url": server.url, "aws_access_key_id": "MINE"}
        config = ONCE.merge(Config(proxies={"http": proxy.url}))
        ecs = boto3.client("ecs", **access, config=config)
        assert (await asyncio.to_thread(ecs.list_tasks))["taskArns"] == []
        assert "Credential=MINE/" in server.heads[0]
        assert f"\r\nHost: {server.url.removeprefix('http://')}\r\n" in server.heads[0]
        assert proxy.truth.requests == {"ListTasks": 1}


async def test_the_guard_is_that_of_the_local_ecs() -> None:
    """The administration needs its header, and requests a Host that can't be rebound."""
    async with LocalECS(hosts=["proxy.test"]) as local, FaultProxy(local.endpoint_url, hosts=["proxy.test"]) as proxy:
        async with Connection(int(proxy.url.rpartition(":")[2])) as connection:
            assert (await connection.get("/_aioecs/truth", X_Aioecs_Admin="")).status == 403
            assert (await connection.get("/_aioecs/truth")).json()["tasks"] == []
            assert (await connection.call("ListTasks", {}, Host="evil.example")).status == 403
            assert (await connection.call("ListTasks", {}, Host="proxy.test:1")).status == 200
        assert local.truth.requests == {"ListTasks": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FaultProxy("ftp://x"), "the upstream is a URL"),
        (lambda: FaultProxy("http://x", sign="own", host="192.0.2.1"), "loopback only"),
        (lambda: FaultProxy("https://ecs.x.amazonaws.com", host="192.0.2.1"), "loopback only"),
    ],
)
def test_what_can_not_be(make: Callable[[], FaultProxy], message: str) -> None:
    """It is said when it is made."""
    with pytest.raises(ValueError, match=message):
        make()


async def test_entering_needs_a_free_port_and_credentials() -> None:
    """A failure leaves nothing open."""
    async with LocalECS() as local:
        with pytest.raises(LocalECSError, match="The fault proxy can't listen on"):
            await FaultProxy(local.endpoint_url, port=local.port).__aenter__()
        with pytest.raises(FaultProxyError, match="no AWS credentials"):
            await FaultProxy("https://ecs.eu-west-1.amazonaws.com").__aenter__()


@pytest.mark.parametrize("by", ["scope", "task"])
async def test_a_cancel_leaves_nothing_open(by: str) -> None:
    """Also while the block is left, with a request that the upstream has yet to answer."""
    async with LocalECS(faults=[Fault("hang", when="after", operation="ListTasks")]) as local:
        scope, proxy = anyio.CancelScope(), FaultProxy(local.endpoint_url)

        async def use() -> None:
            with scope:
                async with proxy, Connection(int(proxy.url.rpartition(":")[2])) as connection:
                    connection.writer.write(f"POST / HTTP/1.1\r\nHost: localhost\r\n{LIST}\r\n\r\n{{}}".encode())
                    await connection.read()

        using = asyncio.ensure_future(use())
        await until(lambda: local.truth.requests["ListTasks"])
        (scope if by == "scope" else using).cancel()
        await asyncio.wait([using])
        assert proxy._upstream._session is not None
        assert proxy._upstream._session.closed


async def test_its_repr_says_where_it_is() -> None:
    """And that it does not serve yet; its URL then is an error."""
    proxy = FaultProxy("http://127.0.0.1:1", [Fault("reset")])
    assert repr(proxy).startswith("<FaultProxy not serving for http://127.0.0.1:1, Truth(calls=0")
    with pytest.raises(RuntimeError, match="not serving"):
        _ = proxy.url
    async with proxy:
        assert repr(proxy).startswith(f"<FaultProxy {proxy.url} for")
        assert not proxy.signs
