"""A client that is closed while other tasks wait for its starts: each of them gets its results, or the reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ecs_with_changing_hosts import ModelECS
from fake_transport import fake_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import Outcome, StartTaskRequest
from aioecs._model.attempt import Attempt
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import ClientStateError

DEMO = StartTaskRequest(task_definition="1-1")
TIMEOUTS = aioecs.Timeouts(drain=5, settle=2, call=1000, attempt=900)


class SilentECS(ModelECS):
    """Never answers one operation; its only host is full."""

    def __init__(self, silent: str) -> None:
        super().__init__(lasts=lambda: 1e6)
        self.silent = silent
        self.full = self.join(1, 1)
        self.occupy(self.full, 1, 1, 1e6)

    async def attempt(self, operation: Operation[Any], request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        """Answer, or wait."""
        if operation.name == self.silent:
            sent_marker.body_started = True
            await asyncio.sleep(1e6)
        return await super().attempt(operation, request, sent_marker)


@pytest.mark.parametrize(
    ("silent", "outcome", "places", "more"),
    [
        ("DescribeTaskDefinition", Outcome.NOT_SENT, True, {}),
        ("ListContainerInstances", Outcome.NOT_SENT, True, {}),
        ("ListTasks", Outcome.NOT_SENT, True, {"idempotency_key": lambda _: "key"}),
        ("StartTask", Outcome.UNKNOWN, False, {}),
        ("", Outcome.NOT_SENT, True, {"wait_for_capacity": 1e5}),
        ("", Outcome.REFUSED, False, {"wait_for_capacity": 1e5}),
    ],
)
def test_starts_end_as_far_as_they_came(silent: str, outcome: Outcome, places: bool, more: dict[str, Any]) -> None:
    """Also those that wait for a read, for their key or for capacity: at once when the time to drain is over."""

    async def main() -> None:
        ecs = SilentECS(silent)
        async with fake_client(ecs, timeouts=TIMEOUTS) as client:  # type: ignore[arg-type]
            named = DEMO.replace(container_instances=[ecs.full.arn])
            start, request = (client.place_tasks, DEMO) if places else (client.start_tasks, named)
            work = asyncio.ensure_future(start([request, request], **more))
            await asyncio.sleep(20)
        async with asyncio.timeout(TIMEOUTS.settle + 1):
            report = await work
        assert [start.outcome for start in report.starts] == [outcome] * 2
        unsent = [start.error for start in report.not_sent]
        assert all(isinstance(error, ClientStateError) for error in unsent)

    run_in_virtual_time(main())


@pytest.mark.parametrize("steps", [0, 1, 20])
def test_requests_that_are_not_drawn_any_more_are_an_error(steps: int) -> None:
    """A report of a part would look like the whole."""

    async def drawn() -> AsyncIterator[StartTaskRequest]:
        yield DEMO
        await asyncio.sleep(1e6)

    async def main() -> None:
        ecs = ModelECS(lasts=lambda: 1e6)
        ecs.join(50, 50)
        async with fake_client(ecs, timeouts=TIMEOUTS) as client:  # type: ignore[arg-type]
            work = asyncio.ensure_future(client.place_tasks(drawn()))
            await asyncio.sleep(0)
            for _ in range(steps):
                await asyncio.sleep(0)
        with pytest.raises(ClientStateError, match="no more requests were drawn: the client was closed"):
            async with asyncio.timeout(TIMEOUTS.settle + 1):
                await work

    run_in_virtual_time(main())
