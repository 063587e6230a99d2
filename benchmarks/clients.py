"""The clients that are compared on the hot path: each starts one task a call, or ten.

All of them have fifty connections and their default retries. A library is imported when its client is opened, so that
the process of one client imports none of the others; that of aioecs is in `benchmarks.aioecs_calls`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.minimal_server import HOSTS, OVERRIDES, Endpoint

IN_FLIGHT = 50
THREADS = 10
KEYS: dict[str, Any] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}
ONE, TEN, PACKED = "one a call", "ten a call", "start_tasks"
SIZES = {ONE: 1, TEN: 10, PACKED: 10}

Method = Callable[[int], Awaitable[int]]
"""Makes this many calls, and returns how many tasks started."""
ClientFactory = Callable[[Endpoint], AbstractAsyncContextManager[dict[str, Method]]]


def hosts(number: int, size: int) -> list[str]:
    """Return the instances of a call."""
    return [HOSTS[(number * size + n) % len(HOSTS)] for n in range(size)]


def wire(number: int, size: int) -> dict[str, Any]:
    """Return a request as botocore takes it."""
    return {
        "cluster": "render",
        "taskDefinition": "frame:42",
        "containerInstances": hosts(number, size),
        "overrides": OVERRIDES,
    }


@contextmanager
def trusting(endpoint: Endpoint) -> Iterator[None]:
    """Make clients that are opened in the block trust the endpoint's certificate."""
    if endpoint.authority is not None:
        os.environ["AWS_CA_BUNDLE"] = endpoint.authority
    try:
        yield
    finally:
        os.environ.pop("AWS_CA_BUNDLE", None)


async def run_calls(calls: int, call: Callable[[int], Awaitable[int]]) -> int:
    """Make this many calls, fifty in flight; return how many tasks started."""
    numbers = iter(range(calls))
    started = 0

    async def work() -> None:
        nonlocal started
        for number in numbers:
            # Two statements: `started += await` would lose what others add during the await.
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
    """Yield the methods of aiobotocore."""
    async with raw_client(endpoint, maker=maker) as client:

        def by(size: int) -> Method:
            async def call(number: int) -> int:
                return len((await client.start_task(**wire(number, size)))["tasks"])

            return lambda calls: run_calls(calls, call)

        yield {ONE: by(1), TEN: by(10)}


@asynccontextmanager
async def threads(endpoint: Endpoint) -> AsyncIterator[dict[str, Method]]:
    """Open a boto3 client behind ten threads."""
    config = import_module("botocore.config").Config(max_pool_connections=IN_FLIGHT)
    with trusting(endpoint):
        client = (
            import_module("boto3")
            .Session()
            .client("ecs", "us-east-1", endpoint_url=endpoint.url, config=config, **KEYS)
        )
    pool = ThreadPoolExecutor(THREADS)

    def by(size: int) -> Method:
        async def pump(calls: int) -> int:
            numbers, lock = iter(range(calls)), threading.Lock()

            def work() -> int:
                started = 0
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return started
                    started += len(client.start_task(**wire(number, size))["tasks"])

            loop = asyncio.get_running_loop()
            return sum(await asyncio.gather(*(loop.run_in_executor(pool, work) for _ in range(THREADS))))

        return pump

    try:
        yield {ONE: by(1), TEN: by(10)}
    finally:
        pool.shutdown()
        client.close()


def _ours(endpoint: Endpoint, **settings: Any) -> AbstractAsyncContextManager[dict[str, Method]]:
    methods: AbstractAsyncContextManager[dict[str, Method]] = import_module("benchmarks.aioecs_calls").ours(
        endpoint, **settings
    )
    return methods


def clients() -> dict[str, ClientFactory]:
    """Return the clients whose libraries are installed."""
    found: dict[str, ClientFactory] = {
        "aioecs": _ours,
        "aioecs, botocore transport": lambda endpoint: _ours(endpoint, transport="botocore"),
        "aiobotocore": raw,
    }
    if find_spec("aioboto3"):
        found["aioboto3"] = lambda endpoint: raw(endpoint, "aioboto3")
    found[f"boto3, {THREADS} threads"] = threads
    return found


def missing() -> str:
    """Return a note on the clients that are missing."""
    if find_spec("aioboto3"):
        return ""
    return (
        "aioboto3 is left out: 15.5.0, its newest when this was written, goes with aiobotocore 2.25.1 and no other.\n"
    )
