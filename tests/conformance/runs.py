"""Runs of the conformance checks on a local ECS that behaves as a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from aiobotocore.session import AioSession

from aioecs.conformance._connection import connected
from aioecs.conformance._context import Context
from aioecs.conformance._report import Finding
from aioecs.conformance._setup import Options, prepare
from aioecs.testing import LocalECS, VirtualClock

SESSION = AioSession()  # botocore reads its service models once for each session


@attrs.frozen
class Run:
    """A local ECS, and a run of checks on it."""

    local: LocalECS
    context: Context

    async def findings(self, check: Callable[[Context], Awaitable[None]]) -> dict[str, tuple[str, str]]:
        """Carry a check through; return the result and what was seen, by fact."""
        await check(self.context)
        return {finding.fact.name: (str(finding.result), finding.seen) for finding in self.context.findings}


@asynccontextmanager
async def local_run(
    *, options: Options | None = None, consistency: float = 5.0, clock: VirtualClock | None = None, **settings: Any
) -> AsyncIterator[Run]:
    """Serve a local ECS with these settings, and prepare a run on its first two instances; hours pass at once."""
    clock = clock or VirtualClock()

    async def pass_time(seconds: float) -> None:
        clock.advance(seconds)

    async with (
        LocalECS(clock=clock, **settings) as local,
        connected(SESSION, **local.client_kwargs()) as connection,
    ):
        setup = await prepare(
            connection.ecs,
            cluster="default",
            task_definition="demo",
            options=options,
            local=True,
            consistency=consistency,
            poll=0.01,
        )
        yield Run(local, attrs.evolve(connection, pass_time=pass_time).context(setup))


def results(findings: tuple[Finding, ...]) -> dict[str, str]:
    """Return the results by fact."""
    return {finding.fact.name: str(finding.result) for finding in findings}
