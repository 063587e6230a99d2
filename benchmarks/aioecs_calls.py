"""aioecs as `hot_path` measures it: one task a call, ten, or many by a report, on either transport.

Its rate limiter is off, since no rival has one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aioecs
from benchmarks.clients import (
    AFRESH,
    AFRESH_FEW,
    KEYS,
    ONE,
    OWN,
    PACKED,
    PLACED,
    RUN,
    RUN_MANY,
    TEN,
    UNLIKE,
    Method,
    hosts,
    read,
    run_calls,
    trusting,
)
from benchmarks.minimal_server import Endpoint

FEW, MANY = 1_000, 20_000
"""Starts of one `start_tasks`, whose requests and results are kept until it has ended."""
TYPED_OVERRIDES = aioecs.TaskOverride(
    container_overrides=[
        aioecs.ContainerOverride(name="main", environment=[aioecs.KeyValuePair(name="FRAME", value="17")])
    ]
)


def typed(number: int, size: int) -> aioecs.StartTaskRequest:
    """Return a request as aioecs takes it, with the overrides that all share."""
    return aioecs.StartTaskRequest(
        cluster="render",
        task_definition="frame:42",
        container_instances=hosts(number, size),
        overrides=TYPED_OVERRIDES,
    )


def environment_of(frame: str) -> aioecs.TaskOverride:
    """Return overrides with an environment, made anew."""
    return aioecs.TaskOverride.for_container("main", environment={"FRAME": frame})


def typed_of_its_own(number: int, frame: str | None = None) -> aioecs.StartTaskRequest:
    """Return a request with an environment made for it: of its own, or of a frame that others have too."""
    return aioecs.StartTaskRequest(
        cluster="render",
        task_definition="frame:42",
        container_instances=hosts(number, 1),
        overrides=environment_of(frame or str(number)),
    )


def to_place(number: int) -> aioecs.StartTaskRequest:
    """Return a request with an environment of its own that names no instance."""
    overrides = environment_of(str(number))
    return aioecs.StartTaskRequest(
        cluster="render", task_definition="frame:42", container_instances=(), overrides=overrides
    )


def to_run(number: int) -> aioecs.RunTaskRequest:
    """Return a RunTask request with an environment of its own."""
    return aioecs.RunTaskRequest(cluster="render", task_definition="frame:42", overrides=environment_of(str(number)))


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
    """Offer aioecs's methods."""
    async with aioecs_client(endpoint, **settings) as client:

        def by(size: int) -> Method:
            async def call(number: int) -> int:
                return len((await client.start_task(typed(number, size))).tasks)

            return lambda calls: run_calls(calls, call)

        async def own(number: int) -> int:
            (task,) = (await client.start_task(typed_of_its_own(number))).tasks
            return read(task.task_arn, task.created_at)

        async def run(number: int) -> int:
            (task,) = (await client.run_task(to_run(number))).tasks
            return read(task.task_arn, task.created_at)

        def reports(many: Any, made: Callable[[int], Any], size: int = 1, most: int = FEW) -> Method:
            """Start `size` tasks for each call that is asked for by a method, at most so many in one report."""

            async def start(calls: int) -> int:
                started, count = 0, calls * size
                for first in range(0, count, most):
                    numbers = range(first, min(first + most, count))
                    started += len((await many(made(number) for number in numbers)).started)
                return started

            return start

        def equal(number: int) -> aioecs.StartTaskRequest:
            return typed_of_its_own(number, "17")

        yield {
            OWN: lambda calls: run_calls(calls, own),
            ONE: by(1),
            TEN: by(10),
            UNLIKE: reports(client.start_tasks, typed_of_its_own),
            PACKED: reports(client.start_tasks, lambda number: typed(number, 1), 10),
            AFRESH: reports(client.start_tasks, equal, 10, MANY),
            AFRESH_FEW: reports(client.start_tasks, equal, 10),
            PLACED: reports(client.place_tasks, to_place),
            RUN: lambda calls: run_calls(calls, run),
            RUN_MANY: reports(client.run_tasks, to_run),
        }
