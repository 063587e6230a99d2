"""The table of checks: it covers each fact once, and stays within the limit."""

from __future__ import annotations

import attrs
import pytest

from aioecs.conformance._checks.table import CHECKS, most_tasks
from aioecs.conformance._context import MOST_TASKS
from aioecs.conformance._facts import FACTS
from aioecs.conformance._setup import Options
from tests.conformance.runs import local_run

ALL = Options(long=True, throttle=True, drain="i")


def test_each_fact_has_one_check() -> None:
    """None is forgotten, none is checked twice."""
    assert sorted(name for check in CHECKS for name in check.facts) == sorted(FACTS)


async def test_the_limit_is_enough() -> None:
    """All checks together start at most what a run may, even if ECS refuses nothing."""
    async with local_run(instances=3) as run:
        setup = attrs.evolve(run.context.setup, options=ALL, local=False)
        assert most_tasks(run.context.setup) < most_tasks(setup) <= MOST_TASKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.run.__name__)
async def test_each_check_reports_its_facts_and_no_others(check: object) -> None:
    """On a local ECS, with no more tasks than it states."""
    from aioecs.conformance._checks.table import Check

    assert isinstance(check, Check)
    if check.run.__name__ in ("rates", "token_end"):
        pytest.skip("their own tests run them")
    async with local_run() as run:
        run.context.setup = attrs.evolve(run.context.setup, options=Options(drain=run.local.instance_arns[-1]))
        await run.context.started([run.context.setup.instances[0]])
        await run.context.stop_all()
        found = await run.findings(check.run)
        assert set(found) == set(check.facts)
        assert len(run.local.truth.tasks()) - 1 <= check.tasks


async def test_what_can_not_run() -> None:
    """Each reason is said."""
    async with local_run(instances=1) as run:
        reasons = {check.facts[0]: check.not_here(run.context.setup) for check in CHECKS}
        assert {name: reason for name, reason in reasons.items() if reason} == {
            "start.order": "needs two container instances",
            "answer.bad_key": "the local ECS checks no signature",
            "drain.refused": "it changes an instance: name an idle one with --drain",
            "run.token_end": "it takes more than an hour: --long",
            "rate.start_burst": "it throttles all callers of the account: --throttle",
        }
