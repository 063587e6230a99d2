"""placed_starts: what is checked before anything is placed, and one placed start as an answer."""

from __future__ import annotations

from typing import Any

import pytest
from ecs_with_changing_hosts import ModelECS
from fake_transport import fake_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import InvalidRequest, Outcome, StartCancelled, StartTaskRequest
from aioecs._batch.batch import session_of
from aioecs._batch.placement.placed_starts import open_placement, place_all, place_one
from aioecs._batch.placement.placement_context import options_of

SMALL = StartTaskRequest(task_definition="1-1")
OPTIONS = options_of(aioecs.Spread(), (), None, 0.0, confirm_refusals=False, on_capacity_shortage=None)


def test_one_is_answered_and_many_are_reported() -> None:
    """A refusal is a failure in the answer; a report has the results in the order of the requests."""

    async def main() -> None:
        ecs = ModelECS(lasts=lambda: 1e6)
        ecs.join(3, 3)
        async with fake_client(ecs) as client, client.batch() as batch:  # type: ignore[arg-type]
            session = session_of(batch)
            answer = await place_one(session, SMALL, None, OPTIONS, None)
            assert (len(answer.tasks), answer.failures) == (1, ())
            report = await place_all(session, [SMALL, SMALL, SMALL], 1, None, OPTIONS)
            assert [start.outcome for start in report.starts] == [Outcome.STARTED, Outcome.STARTED, Outcome.REFUSED]
            full = await place_one(session, SMALL, None, OPTIONS, None)
            assert [failure.reason for failure in full.failures] == ["RESOURCE:CPU"]

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("requests", "count", "member"),
    [(SMALL, 0, "count"), ([SMALL], 2, "count"), (7, 1, "requests"), (SMALL.replace(cluster=""), 1, "cluster")],
)
def test_what_can_not_be_placed_is_refused_before_any_read(requests: Any, count: int, member: str) -> None:
    """By the member that is wrong."""

    async def main() -> None:
        ecs = ModelECS(lasts=lambda: 1e6)
        async with fake_client(ecs) as client, client.batch() as batch:  # type: ignore[arg-type]
            with pytest.raises(InvalidRequest, match=member):
                await open_placement(session_of(batch), requests, count, None, OPTIONS)
        assert not ecs.requests

    run_in_virtual_time(main())


def test_cancelled_before_a_template_is_read() -> None:
    """Each of its copies was not sent."""

    async def main() -> None:
        ecs = ModelECS(lasts=lambda: 1e6)
        ecs.join(3, 3)
        token = aioecs.CancelToken()
        token.cancel("enough")
        async with fake_client(ecs) as client, client.batch() as batch:  # type: ignore[arg-type]
            with pytest.raises(StartCancelled) as cancelled:
                await place_all(session_of(batch), SMALL, 3, token, OPTIONS)
        assert [start.outcome for start in cancelled.value.starts] == [Outcome.NOT_SENT] * 3
        assert not ecs.requests["StartTask"]

    run_in_virtual_time(main())
