"""_connection: a client of the caller's ECS, and a local one."""

from __future__ import annotations

import pytest
from aiobotocore.session import AioSession

from aioecs.conformance._connection import connected, local
from aioecs.conformance._setup import CannotRun, Options, prepare
from tests.conformance.runs import SESSION


async def test_without_a_region() -> None:
    """It is an error of the configuration."""
    with pytest.raises(CannotRun, match="NoRegionError"):
        async with connected(SESSION):
            raise AssertionError


async def test_the_region_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION counts, as with the library."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    async with connected(SESSION) as connection:
        assert connection.ecs.meta.region_name == "eu-west-1"


async def test_an_unknown_profile() -> None:
    """It is an error of the configuration too."""
    with pytest.raises(CannotRun, match="ProfileNotFound"):
        async with connected(AioSession(profile="nobody")):
            raise AssertionError


async def test_a_local_one() -> None:
    """It has two instances for the checks, and an idle one; further clients reach the same."""
    async with local() as connection:
        options = Options(drain=connection.idle)
        setup = await prepare(connection.ecs, cluster="default", task_definition="demo", options=options)
        context = connection.context(setup)
        (arn,) = await context.started([setup.instances[0]])
        assert connection.idle not in setup.instances
        async with connection.connect() as other:
            await context.pass_time(5)
            assert (await other.describe_tasks(tasks=[arn]))["tasks"][0]["lastStatus"] == "RUNNING"
            await context.pass_time(10)
            assert (await other.describe_tasks(tasks=[arn]))["tasks"][0]["lastStatus"] == "STOPPED"
