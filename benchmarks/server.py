"""A local ECS in its own process, so that it takes no CPU time from the measured client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any
from urllib.request import Request, urlopen

import attrs

from aioecs.testing import ClientKwargs, Fault, LocalECS
from benchmarks.harness import server_process


@attrs.frozen
class ServedECS:
    """A local ECS in another process."""

    kwargs: ClientKwargs
    """The arguments of a client of it."""
    instances: list[str]

    def truth(self) -> dict[str, Any]:
        """Fetch its truth: `tasks`, `calls`, `requests`, `throttled`, `duplicates`."""
        request = Request(f"{self.kwargs['endpoint_url']}/_aioecs/truth", headers={"X-Aioecs-Admin": "yes"})  # noqa: S310
        with urlopen(request) as answer:  # noqa: S310 loopback
            truth: dict[str, Any] = json.load(answer)
            return truth


@contextmanager
def serving(faults: Iterable[Fault] = (), **options: Any) -> Iterator[ServedECS]:
    """Serve a local ECS with these options of `LocalECS` during the block."""
    with server_process(_serve, tuple(faults), options) as (kwargs, instances):
        yield ServedECS(kwargs, instances)


def _serve(connection: Connection, faults: tuple[Fault, ...], options: dict[str, Any]) -> None:
    async def serve() -> None:
        async with LocalECS(faults=faults, **options) as local:
            connection.send((local.client_kwargs(), local.instance_arns))
            await asyncio.to_thread(connection.recv)

    asyncio.run(serve())
