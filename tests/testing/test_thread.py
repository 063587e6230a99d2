"""The local ECS on its own thread: used from other threads and loops; the thread ends with it."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import attrs
import pytest

import aioecs
from aioecs.testing import AwsError, Fault, LocalECSError, ThreadedECS, VirtualClock

NAME = "aioecs local ECS"


def threads() -> list[threading.Thread]:
    """List its threads."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(NAME)]


async def start(local: ThreadedECS, count: int = 1) -> list[str]:
    """Start tasks on its first instance, and return their ARNs."""
    access: dict[str, Any] = {**local.client_kwargs()}
    async with aioecs.Client(**access) as client:
        arn = local.instance_arns[0]
        request = aioecs.StartTaskRequest(task_definition="demo", container_instances=[arn] * count)
        return [task.task_arn or "" for task in (await client.start_task(request)).tasks]


def test_without_a_loop() -> None:
    """A plain block serves from a thread that ends with it; `truth` can still be read afterwards."""
    with ThreadedECS(instances=1, region="eu-west-1") as local:
        assert threads()
        arns = [arn for _ in range(2) for arn in asyncio.run(start(local))]
        assert repr(local).startswith(f"<LocalECS {local.endpoint_url}")
        assert local.region == "eu-west-1"
    assert threads() == []
    assert sorted(task.arn for task in local.truth.tasks()) == sorted(arns)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(local.endpoint_url.rpartition(":")[2]))) != 0


async def test_within_a_loop() -> None:
    """A test reads `truth` from its own loop, between two awaits."""
    with ThreadedECS() as local:
        (arn,) = await start(local)
        task = local.truth.task(arn)
        assert task is not None
        assert task.last_status == "RUNNING"
        assert local.truth.requests["StartTask"] == 1


def test_every_access_runs_on_its_loop() -> None:
    """Reads, changes and calls run on the server's thread, and their errors reach the caller."""
    with ThreadedECS(instances=0) as local:
        assert local.call(lambda _: threading.current_thread()) in threads()
        assert len(local.engine.add_instances(2)) == len(local.instance_arns) == 2
        local.engine.behaviour = attrs.evolve(local.engine.behaviour, visibility_lag=3)
        assert local.call(lambda it: it.engine.behaviour.visibility_lag) == 3
        with pytest.raises(AwsError, match="Cluster not found"):
            local.engine.add_instances(cluster="none")
        with pytest.raises(AttributeError):
            local.engine.nothing  # type: ignore[attr-defined] # noqa: B018


def test_what_is_read_is_a_copy() -> None:
    """A counter that was read doesn't change while the server goes on."""
    with ThreadedECS() as local:
        before = local.truth.requests
        asyncio.run(start(local))
        assert (before["StartTask"], local.truth.requests["StartTask"]) == (0, 1)


def test_faults() -> None:
    """The script can be read and changed while it serves."""
    with ThreadedECS(faults=[Fault("reset")]) as local:
        local.faults.add(Fault("hang"))
        assert [fault.kind for fault in local.faults] == ["reset", "hang"]
        local.faults.clear()
        assert len(local.faults) == 0
        assert "FaultScript" in repr(local.faults)


def test_its_clock() -> None:
    """An hour passes when the test advances the clock."""
    with ThreadedECS(clock=VirtualClock(at=0), pending_seconds=60, running_seconds=3600) as local:

        def statuses() -> set[str]:
            return {task.last_status for task in local.truth.tasks()}

        asyncio.run(start(local, 3))
        assert statuses() == {"PENDING"}
        local.clock.advance(60)
        assert statuses() == {"RUNNING"}
        local.clock.advance(3600)
        assert statuses() == {"STOPPED"}


def test_an_address_in_use() -> None:
    """The error is raised on entering, and no thread is left."""
    with ThreadedECS() as taken:
        port = int(taken.endpoint_url.rpartition(":")[2])
        with pytest.raises(LocalECSError, match="in use"), ThreadedECS(port=port):
            pass
        assert len(threads()) == 1
