"""refresh: the states of tasks are asked for."""

from __future__ import annotations

from unittest import mock

import attrs
import pytest

from aioecs.testing import FaultProxy, FaultProxyError, LocalECS
from aioecs.testing._proxy.record import Record
from aioecs.testing._proxy.refresh import refresh
from aioecs.testing._proxy.upstream import Upstream, UpstreamError
from aioecs.testing._serving.backend import Incoming, Reply
from tests.testing.proxy.test_record import start
from tests.testing.test_server import Connection


async def test_the_states_of_tasks_are_asked_for() -> None:
    """Also of one that the upstream has forgotten."""
    async with LocalECS(cpu=10**6, memory=10**6) as local, FaultProxy(local.endpoint_url) as proxy:
        async with Connection(int(proxy.url.rpartition(":")[2])) as connection:
            request = {"taskDefinition": "demo", "containerInstances": local.instance_arns, "startedBy": "t"}
            arns = [task["taskArn"] for task in (await connection.call("StartTask", request)).json()["tasks"]]
        local.engine.end_task(arns[0])
        proxy._record.history.task_created(attrs.evolve(proxy.truth.tasks()[0], arn=f"{arns[0][:-32]}{'f' * 32}"))
        assert len(proxy.truth.running()) == 4
        truth = await proxy.refresh()
        assert [task.arn for task in truth.running()] == arns[1:]
        assert proxy.truth.requests == {"StartTask": 1}


@pytest.mark.parametrize(
    ("answer", "message"), [(Reply(403, b"{}"), "HTTP 403"), (UpstreamError("gone", sent=False), "gone")]
)
async def test_an_upstream_that_refuses(answer: Reply | UpstreamError, message: str) -> None:
    """It is said; states stay as they were."""
    record = Record()
    start(record, "t", "a1")

    async def send(upstream: Upstream, incoming: Incoming) -> Reply:
        if isinstance(answer, UpstreamError):
            raise answer
        return answer

    with mock.patch.object(Upstream, "send", send), pytest.raises(FaultProxyError, match=message):
        await refresh(Upstream("http://up:1"), record, "eu-west-1")
    assert len(record.truth.running()) == 1
