"""Connects to an ECS of the caller's choice, or to a local one, and runs the checks there."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import attrs
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError

from aioecs.conformance._calls import single_attempts
from aioecs.conformance._context import Context
from aioecs.conformance._setup import CannotRun, Setup
from aioecs.testing import LocalECS, VirtualClock

LOCAL_CLUSTER = "default"
LOCAL_DEFINITION = "demo"
_LOCAL: dict[str, Any] = {"instances": 3, "running_seconds": 10, "visibility_lag": 0.2, "describe_lag": 0.1}


@attrs.frozen
class Connection:
    """A client of an ECS, and how others of the same are made.

    connect: opens a client, given arguments of `create_client` that replace the usual ones.
    pass_time: lets an amount of seconds pass for this ECS.
    idle: a container instance that nobody else uses, of a local ECS.
    """

    ecs: Any
    connect: Callable[..., AbstractAsyncContextManager[Any]]
    pass_time: Callable[[float], Awaitable[object]] = anyio.sleep
    idle: str | None = None

    def context(self, setup: Setup) -> Context:
        """Return a new run of the checks."""
        return Context(self.ecs, setup, self.connect, self.pass_time)


def _region(session: AioSession) -> str | None:
    """Return the configured Region; boto doesn't read AWS_REGION.

    Raises:
        CannotRun: the configuration can't be read, or the profile is not there.
    """
    try:
        return session.get_config_variable("region") or os.environ.get("AWS_REGION")
    except BotoCoreError as error:
        raise CannotRun(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def connected(session: AioSession, **options: Any) -> AsyncGenerator[Connection]:
    """Connect with a session; options: arguments of `create_client`.

    Raises:
        CannotRun: the configuration lacks something, such as a Region.
    """

    options = {"region_name": _region(session), **options}

    def connect(**more: Any) -> AbstractAsyncContextManager[Any]:
        made: AbstractAsyncContextManager[Any] = session.create_client(
            "ecs", **{"config": single_attempts(), **options, **more}
        )
        return made

    try:
        client = connect()
        ecs = await client.__aenter__()
    except (BotoCoreError, ValueError) as error:
        raise CannotRun(f"{type(error).__name__}: {error}") from error
    try:
        yield Connection(ecs, connect)
    finally:
        await client.__aexit__(None, None, None)


@asynccontextmanager
async def local(*, throttle: bool = False) -> AsyncGenerator[Connection]:
    """Serve a local ECS, and connect to it; hours pass at once."""
    clock = VirtualClock()

    async def pass_time(seconds: float) -> None:
        clock.advance(seconds)

    async with (
        LocalECS(clock=clock, throttle="documented" if throttle else None, **_LOCAL) as served,
        connected(AioSession(), **served.client_kwargs()) as connection,
    ):
        yield attrs.evolve(connection, pass_time=pass_time, idle=served.instance_arns[-1])
