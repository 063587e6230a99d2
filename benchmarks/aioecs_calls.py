"""The calls of aioecs that are compared: one task a call, ten, or `start_tasks`, with either transport.

Its pacing is off, as no other client paces.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aioecs
from benchmarks.clients import KEYS, ONE, PACKED, TEN, Method, hosts, run_calls, trusting
from benchmarks.minimal_server import Endpoint

FAN_OUT = 1_000
"""Starts of one `start_tasks`, whose requests and results are all kept until it has ended."""
TYPED_OVERRIDES = aioecs.TaskOverride(
    container_overrides=[
        aioecs.ContainerOverride(name="main", environment=[aioecs.KeyValuePair(name="FRAME", value="17")])
    ]
)


def typed(number: int, size: int) -> aioecs.StartTaskRequest:
    """Return a request as aioecs takes it; its overrides are made once, as the dict of the other clients is."""
    return aioecs.StartTaskRequest(
        cluster="render",
        task_definition="frame:42",
        container_instances=hosts(number, size),
        overrides=TYPED_OVERRIDES,
    )


@asynccontextmanager
async def aioecs_client(endpoint: Endpoint, **settings: Any) -> AsyncIterator[aioecs.Client]:
    """Open an aioecs client."""
    with trusting(endpoint):
        client = aioecs.Client("us-east-1", endpoint_url=endpoint.url, pacing=None, **KEYS, **settings)
        await client.__aenter__()
    try:
        yield client
    finally:
        await client.__aexit__(None, None, None)


@asynccontextmanager
async def ours(endpoint: Endpoint, **settings: Any) -> AsyncIterator[dict[str, Method]]:
    """Yield the methods of aioecs."""
    async with aioecs_client(endpoint, **settings) as client:

        def by(size: int) -> Method:
            async def call(number: int) -> int:
                return len((await client.start_task(typed(number, size))).tasks)

            return lambda calls: run_calls(calls, call)

        async def packed(calls: int) -> int:
            started, count = 0, calls * 10
            for first in range(0, count, FAN_OUT):
                numbers = range(first, min(first + FAN_OUT, count))
                started += len((await client.start_tasks(typed(number, 1) for number in numbers)).started)
            return started

        yield {ONE: by(1), TEN: by(10), PACKED: packed}
