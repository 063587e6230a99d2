"""unplaced_starts: what is drawn, and what is found out before a start is placed."""

from __future__ import annotations

import pytest
from ecs_with_changing_hosts import ModelECS
from fake_transport import fake_client
from virtual_time import run_in_virtual_time

from aioecs import (
    Outcome,
    StartTaskRequest,
)
from aioecs._batch.placement.unplaced_starts import Copies


def test_copies() -> None:
    """They have a size, so that the rest is reported after a cancel, and are made as they are drawn."""
    demo = StartTaskRequest(task_definition="demo")
    copies = Copies(demo, 10**9)
    assert len(copies) == 10**9
    assert next(iter(copies)) is demo


def test_a_context_is_read_once_for_all_that_wait_for_it() -> None:
    """Requests of two definitions, drawn together, make two reads; one that is unknown fails no other."""

    async def main() -> None:
        ecs = ModelECS(lasts=lambda: 1e6)
        ecs.join(50, 50)
        async with fake_client(ecs) as client:  # type: ignore[arg-type]
            requests = [StartTaskRequest(task_definition=("1-1", "2-1")[n % 2]) for n in range(20)]
            report = await client.place_tasks([*requests, StartTaskRequest(task_definition="")])
        assert [start.outcome for start in report.starts] == [Outcome.STARTED] * 20 + [Outcome.NOT_SENT]
        assert ecs.requests["DescribeTaskDefinition"] == 2

    run_in_virtual_time(main())


def test_a_key_function_that_raises_ends_the_drawing() -> None:
    """With its own error."""

    async def main() -> None:
        ecs = ModelECS(lasts=lambda: 1e6)
        ecs.join(50, 50)
        async with fake_client(ecs) as client:  # type: ignore[arg-type]
            with pytest.raises(ZeroDivisionError):
                await client.place_tasks(StartTaskRequest(task_definition="1-1"), idempotency_key=lambda _: str(1 // 0))
        assert not ecs.requests["StartTask"]

    run_in_virtual_time(main())
