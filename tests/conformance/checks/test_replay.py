"""RunTask's clientToken: replays, the conflict and its end."""

from __future__ import annotations

import pytest

from aioecs.conformance._calls import Answer, Blocked
from aioecs.conformance._checks.replay import replay, token_end
from aioecs.conformance._context import Context
from aioecs.conformance._setup import Options
from tests.conformance.runs import local_run


async def test_as_expected() -> None:
    """The replay after the stop has ARNs and statuses only."""
    async with local_run() as run:
        assert await run.findings(replay) == {
            "run.replay": ("as expected", "200, 2 tasks, 0 of them new"),
            "run.conflict": ("as expected", "ConflictException (400), 2 tasks named"),
            "run.replay_stopped": (
                "as expected",
                "200, 2 tasks, 0 of them new, with desiredStatus, lastStatus, taskArn only",
            ),
        }
        assert (len(run.local.truth.tasks()), run.local.truth.running()) == (2, [])


async def test_an_ecs_without_tokens_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each replay starts new tasks, and they are known to be stopped later."""
    async with local_run() as run:
        run_task = Context.run_task

        async def forgetting(context: Context, count: int, token: str) -> Answer:
            run.local.engine._account.client_tokens.clear()
            return await run_task(context, count, token)

        monkeypatch.setattr(Context, "run_task", forgetting)
        found = await run.findings(replay)
        assert {result for result, _ in found.values()} == {"differs"}
        assert found["run.replay"][1] == "200, 2 tasks, 2 of them new"
        assert len(run.context.tasks) == len(run.local.truth.tasks()) == 7


async def test_without_capacity_nothing_is_learned() -> None:
    """The check can't be run, and neither can that of the token's end."""
    async with local_run(cpu=5) as run:
        with pytest.raises(Blocked, match="RunTask: 200, 0 tasks, failures RESOURCE"):
            await replay(run.context)
        with pytest.raises(Blocked, match="no token was replayed"):
            await token_end(run.context)


async def test_the_end_of_a_token() -> None:
    """After an hour the same request starts new tasks."""
    async with local_run(options=Options(long=True)) as run:
        await replay(run.context)
        assert (await run.findings(token_end))["run.token_end"] == ("as expected", "200, 2 tasks, 2 of them new")


async def test_a_token_that_lives_on_differs() -> None:
    """No new tasks."""
    async with local_run(options=Options(long=True)) as run:
        await replay(run.context)
        run.context.aged = 3660
        assert (await run.findings(token_end))["run.token_end"][0] == "differs"
