"""A local ECS behind the fault proxy, in a process of their own; the truth is the local ECS's, not the proxy's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any
from urllib.request import Request, urlopen

import attrs

from aioecs.testing import Fault, FaultProxy, LocalECS
from benchmarks.harness import server_process

OPERATIONS = ("StartTask", "RunTask")
AFTER = ("reset", "close", "truncated", "error", "hang")
BEFORE = ("reset", "error")
SEED = 1
HANG = 2.0
"""In seconds: then a connection without an answer is closed."""
LATENCY = 0.02
"""In seconds, of each answer in the cancelled storm."""


@attrs.frozen
class Service:
    """The proxy's URL, and where the truth is."""

    url: str
    upstream: str
    instances: list[str]

    def tasks(self) -> list[dict[str, Any]]:
        """Return all tasks, as they are now."""
        request = Request(f"{self.upstream}/_aioecs/truth", headers={"X-Aioecs-Admin": "yes"})  # noqa: S310
        with urlopen(request) as answer:  # noqa: S310 loopback
            tasks: list[dict[str, Any]] = json.load(answer)["tasks"]
            return tasks


def faults(storm: str) -> list[Fault]:
    """Return the faults of a storm: 14 % of the starts lose their answer, most of them after they took effect."""
    if storm == "cancelled":
        return [Fault("delay", operation=operation, times=None, seconds=LATENCY) for operation in OPERATIONS]
    kinds = [*(("after", kind) for kind in AFTER), *(("before", kind) for kind in BEFORE)]
    return [
        Fault(kind, when, operation, times=None, chance=0.02, seconds=HANG if kind == "hang" else None)  # type: ignore[arg-type]
        for operation in OPERATIONS
        for when, kind in kinds
    ]


@contextmanager
def serving(storm: str) -> Iterator[Service]:
    """Serve during the block."""
    with server_process(_serve, storm) as service:
        yield service


def _serve(connection: Connection, storm: str) -> None:
    async def serve() -> None:
        async with LocalECS(instances=50, visibility_lag=0.5, cpu=10**6, memory=10**6) as local:
            upstream = local.client_kwargs()["endpoint_url"]
            async with FaultProxy(upstream, faults(storm), seed=SEED) as proxy:
                connection.send(Service(proxy.url, upstream, local.instance_arns))
                await asyncio.to_thread(connection.recv)

    asyncio.run(serve())
