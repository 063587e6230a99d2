"""A local ECS in a process of its own, so that it takes no time from the client that is measured."""

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
from benchmarks.rig import elsewhere


@attrs.frozen
class Served:
    """A local ECS elsewhere."""

    kwargs: ClientKwargs
    """What any client takes to talk to it."""
    instances: list[str]

    def truth(self) -> dict[str, Any]:
        """Ask it for the truth: `tasks`, `calls`, `requests`, `throttled`, `duplicates`."""
        asked = Request(f"{self.kwargs['endpoint_url']}/_aioecs/truth", headers={"X-Aioecs-Admin": "yes"})  # noqa: S310
        with urlopen(asked) as answer:  # noqa: S310 loopback
            truth: dict[str, Any] = json.load(answer)
            return truth


@contextmanager
def serving(faults: Iterable[Fault] = (), **options: Any) -> Iterator[Served]:
    """Serve a local ECS with these options of `LocalECS` for the block."""
    with elsewhere(_serve, tuple(faults), options) as (kwargs, instances):
        yield Served(kwargs, instances)


def _serve(connection: Connection, faults: tuple[Fault, ...], options: dict[str, Any]) -> None:
    async def serve() -> None:
        async with LocalECS(faults=faults, **options) as local:
            connection.send((local.client_kwargs(), local.instance_arns))
            await asyncio.to_thread(connection.recv)

    asyncio.run(serve())
