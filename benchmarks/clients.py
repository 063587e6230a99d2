"""The clients that `hot_path` compares: each starts one task a call, or ten.

All of them keep fifty connections and their default retries. A library is imported when its client is opened, so that
a process of one client imports none of the others; that of aioecs is in `benchmarks.aioecs_calls`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from benchmarks.minimal_server import HOSTS, OVERRIDES, Endpoint

IN_FLIGHT = 50
THREADS = 10
KEYS: dict[str, Any] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}
OWN = "one a call, its own environment"
"""The request is made for the call, and the caller reads the task's ARN and when it was created."""
ONE = "one a call, shared overrides"
TEN = "ten a call, shared overrides"
UNLIKE = "start_tasks, its own environment each"
PACKED = "start_tasks, shared overrides"
AFRESH, AFRESH_FEW = "start_tasks, 20,000 equal made afresh", "start_tasks, 1,000 equal made afresh"
"""Each request is made with overrides of its own, equal to the others'; one report has them all."""
PLACED = "place_tasks, its own environment each"
"""aioecs chooses the instances; aiobotocore's caller names them."""
RUN, RUN_MANY = "run_task, its own environment", "run_tasks, its own environment each"
SIZES = {OWN: 1, ONE: 1, TEN: 10, UNLIKE: 1, PACKED: 10, AFRESH: 10, AFRESH_FEW: 10, PLACED: 1, RUN: 1, RUN_MANY: 1}
"""Tasks of a call, by shape."""

Method = Callable[[int], Awaitable[int]]
"""Makes so many calls, and returns how many tasks started."""
ClientFactory = Callable[[Endpoint], AbstractAsyncContextManager[dict[str, Method]]]


def hosts(number: int, size: int) -> list[str]:
    """Return the instances of a call."""
    return [HOSTS[(number * size + n) % len(HOSTS)] for n in range(size)]


def wire(number: int, size: int) -> dict[str, Any]:
    """Return a request as botocore takes it, with the overrides that all share."""
    return {
        "cluster": "render",
        "taskDefinition": "frame:42",
        "containerInstances": hosts(number, size),
        "overrides": OVERRIDES,
    }


def wire_of_its_own(number: int) -> dict[str, Any]:
    """Return a request as botocore takes it, with an environment of its own."""
    environment = [{"name": "FRAME", "value": str(number)}]
    return {
        "cluster": "render",
        "taskDefinition": "frame:42",
        "containerInstances": hosts(number, 1),
        "overrides": {"containerOverrides": [{"name": "main", "environment": environment}]},
    }


def run_of_its_own(number: int) -> dict[str, Any]:
    """Return a RunTask request as botocore takes it, with an environment of its own."""
    request = wire_of_its_own(number)
    del request["containerInstances"]
    return request


def read(task_arn: str | None, created_at: object) -> int:
    """Count a task whose ARN and time of creation the caller has read."""
    assert task_arn
    assert created_at
    return 1


@contextmanager
def trusting(endpoint: Endpoint) -> Iterator[None]:
    """Let the clients that are opened in the block trust the endpoint's certificate."""
    if endpoint.authority is not None:
        os.environ["AWS_CA_BUNDLE"] = endpoint.authority
    try:
        yield
    finally:
        os.environ.pop("AWS_CA_BUNDLE", None)


async def run_calls(calls: int, call: Callable[[int], Awaitable[int]]) -> int:
    """Make so many calls, fifty in flight; return how many tasks started."""
    numbers = iter(range(calls))
    started = 0

    async def work() -> None:
        nonlocal started
        for number in numbers:
            # Read anew after the call: `started += await` would lose what others added meanwhile.
            tasks = await call(number)
            started += tasks

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())
    return started


@asynccontextmanager
async def raw_client(
    endpoint: Endpoint, pool: int = IN_FLIGHT, maker: str = "aiobotocore.session"
) -> AsyncIterator[Any]:
    """Open an aiobotocore client, made by its own session or by aioboto3's."""
    config = import_module("aiobotocore.config").AioConfig(max_pool_connections=pool)
    library = import_module(maker)
    make = library.get_session().create_client if maker == "aiobotocore.session" else library.Session().client
    with trusting(endpoint):
        opening = make("ecs", region_name="us-east-1", endpoint_url=endpoint.url, config=config, **KEYS)
        client = await opening.__aenter__()
    try:
        yield client
    finally:
        await opening.__aexit__(None, None, None)


@asynccontextmanager
async def raw(endpoint: Endpoint, maker: str = "aiobotocore.session") -> AsyncIterator[dict[str, Method]]:
    """Offer aiobotocore's methods."""
    async with raw_client(endpoint, maker=maker) as client:

        def by(size: int) -> Method:
            async def call(number: int) -> int:
                return len((await client.start_task(**wire(number, size)))["tasks"])

            return lambda calls: run_calls(calls, call)

        async def own(number: int) -> int:
            (task,) = (await client.start_task(**wire_of_its_own(number)))["tasks"]
            return read(task["taskArn"], task["createdAt"])

        async def run(number: int) -> int:
            (task,) = (await client.run_task(**run_of_its_own(number)))["tasks"]
            return read(task["taskArn"], task["createdAt"])

        yield {
            OWN: lambda calls: run_calls(calls, own),
            ONE: by(1),
            TEN: by(10),
            RUN: lambda calls: run_calls(calls, run),
        }


@asynccontextmanager
async def threads(endpoint: Endpoint) -> AsyncIterator[dict[str, Method]]:
    """Open a boto3 client that ten threads use."""
    config = import_module("botocore.config").Config(max_pool_connections=IN_FLIGHT)
    with trusting(endpoint):
        client = (
            import_module("boto3")
            .Session()
            .client("ecs", "us-east-1", endpoint_url=endpoint.url, config=config, **KEYS)
        )
    pool = ThreadPoolExecutor(THREADS)

    def own(number: int) -> int:
        (task,) = client.start_task(**wire_of_its_own(number))["tasks"]
        return read(task["taskArn"], task["createdAt"])

    def by(size: int) -> Callable[[int], int]:
        return lambda number: len(client.start_task(**wire(number, size))["tasks"])

    def threaded(call: Callable[[int], int]) -> Method:
        async def pump(calls: int) -> int:
            numbers, lock = iter(range(calls)), threading.Lock()

            def work() -> int:
                started = 0
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return started
                    started += call(number)

            loop = asyncio.get_running_loop()
            return sum(await asyncio.gather(*(loop.run_in_executor(pool, work) for _ in range(THREADS))))

        return pump

    try:
        yield {OWN: threaded(own), ONE: threaded(by(1)), TEN: threaded(by(10))}
    finally:
        pool.shutdown()
        client.close()


def _ours(endpoint: Endpoint, **settings: Any) -> AbstractAsyncContextManager[dict[str, Method]]:
    methods: AbstractAsyncContextManager[dict[str, Method]] = import_module("benchmarks.aioecs_calls").ours(
        endpoint, **settings
    )
    return methods


def _without_msgspec(endpoint: Endpoint) -> AbstractAsyncContextManager[dict[str, Method]]:
    sys.modules["msgspec"] = cast("Any", None)  # its import fails, in this process alone
    return _ours(endpoint)


OURS, RAW = "aioecs", "aiobotocore"
ON_UVLOOP = " on uvloop"


def clients() -> dict[str, ClientFactory]:
    """Return the clients that can run here, by name."""
    found: dict[str, ClientFactory] = {OURS: _ours}
    if find_spec("msgspec"):
        found[f"{OURS} without msgspec"] = _without_msgspec
    found[f"{OURS}, botocore transport"] = lambda endpoint: _ours(endpoint, transport="botocore")
    found[RAW] = raw
    if find_spec("uvloop"):
        found[OURS + ON_UVLOOP] = _ours
        found[RAW + ON_UVLOOP] = raw
    if find_spec("aioboto3"):
        found["aioboto3"] = lambda endpoint: raw(endpoint, "aioboto3")
    found[f"boto3, {THREADS} threads"] = threads
    return found


def loop_of(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop of a client."""
    make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if name.endswith(ON_UVLOOP):
        make = import_module("uvloop").new_event_loop
    return make


def missing() -> str:
    """Handler which clients are missing, and why."""
    said = []
    if not find_spec("aioboto3"):
        said.append("aioboto3 is left out: 15.5.0, its newest when this was written, needs aiobotocore 2.25.1.\n")
    if not find_spec("uvloop"):
        said.append("uvloop is not installed: nothing was measured on it.\n")
    return "".join(said)
