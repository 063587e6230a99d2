"""The requests of `aioecs run`: one for each task, with what was looked up."""

from __future__ import annotations

import attrs
import pytest

import aioecs
from aioecs import RunTaskRequest, StartTaskRequest
from aioecs.cli._options import UsageError
from aioecs.cli._run.options import RunOptions
from aioecs.cli._run.requests import make_requests, placement_options
from aioecs.cli._start.options import StartOptions, with_jobs
from aioecs.testing import LocalECS

TASK = StartOptions(cluster="default", task_definition="demo")


async def test_one_task(client: aioecs.Client, local: LocalECS) -> None:
    """Placed by aioecs, on a named instance, or by ECS; the container is looked up where it is overridden."""
    [(name, placed)] = await make_requests(client, RunOptions(task=attrs.evolve(TASK, environment=(("A", "1"),))))
    assert isinstance(placed, StartTaskRequest)
    assert (name, placed.container_instances) == ("", ())
    assert placed.overrides is not None
    assert [each.name for each in placed.overrides.container_overrides or ()] == ["main"]
    arn = local.instance_arns[1]
    there = RunOptions(task=attrs.evolve(TASK, instances=(arn.rpartition("/")[2][:8],)))
    [(_, named)] = await make_requests(client, there)
    assert isinstance(named, StartTaskRequest)
    assert named.container_instances == (arn,)
    [(_, anywhere)] = await make_requests(client, RunOptions(task=TASK, launch_type="EC2"))
    assert isinstance(anywhere, RunTaskRequest)


async def test_jobs(client: aioecs.Client, local: LocalECS) -> None:
    """Each has its name; those that name their instances keep them."""
    first, second, *_ = local.instance_arns
    lines = [f'{{"name": "a", "containerInstances": ["{second}"]}}', f'{{"containerInstances": ["{first}"]}}']
    named = await make_requests(client, RunOptions(task=with_jobs(TASK, lines)))
    assert [
        (name, *request.container_instances) for name, request in named if isinstance(request, StartTaskRequest)
    ] == [
        ("a", second),
        ("2", first),
    ]
    by_ecs = await make_requests(client, RunOptions(task=with_jobs(TASK, ["{}", "{}"]), launch_type="EC2"))
    assert [type(request) for _, request in by_ecs] == [RunTaskRequest, RunTaskRequest]


async def test_an_attribute_that_no_instance_has(client: aioecs.Client) -> None:
    """It is said before anything is started."""
    with pytest.raises(UsageError, match="--spread"):
        await make_requests(client, RunOptions(task=attrs.evolve(TASK, spread="none")))


def test_options_of_a_placement() -> None:
    """They are given only where aioecs places."""
    assert placement_options(RunOptions(task=TASK, launch_type="EC2")) == {}
    given = placement_options(RunOptions(task=attrs.evolve(TASK, wait_for_capacity=3.0, random=True)))
    assert given == {"placement": aioecs.Random(), "constraints": (), "wait_for_capacity": 3.0}
