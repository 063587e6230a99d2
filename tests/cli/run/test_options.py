"""The options of `aioecs run`: what they exclude, and the requests that they make."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from aioecs import CapacityProviderStrategyItem, PlacementConstraint, PlacementStrategy
from aioecs.cli._options import Packed, UsageError
from aioecs.cli._run.options import (
    RunOptions,
    capacity_providers,
    run_task_request,
    validated,
    with_given_input,
    with_jobs,
)
from aioecs.cli._start.options import StartOptions, template

TASK = StartOptions(cluster="c", task_definition="td", started_by="me", environment=(("A", "1"),), container="main")
FARGATE: dict[str, Any] = {"launch_type": "FARGATE"}


def test_a_run_task() -> None:
    """It has all that the StartTask would have, and what is RunTask's own."""
    task = attrs.evolve(TASK, member_of=("a == b",), distinct_instance=True, binpack=Packed.CPU)
    spot = CapacityProviderStrategyItem(capacity_provider="mine", weight=1)
    options = validated(RunOptions(task=task, capacity_providers=(spot,)))
    request = run_task_request(options, template(options.task))
    assert (request.cluster, request.task_definition, request.started_by) == ("c", "td", "me")
    assert request.overrides == template(TASK).overrides
    assert request.capacity_provider_strategy == (spot,)
    assert request.placement_constraints == (
        PlacementConstraint(type="memberOf", expression="a == b"),
        PlacementConstraint(type="distinctInstance"),
    )
    assert request.placement_strategy == (PlacementStrategy(type="binpack", field="cpu"),)


@pytest.mark.parametrize(
    ("options", "strategy"),
    [
        ({"random": True}, PlacementStrategy(type="random")),
        ({"spread": "instanceId"}, PlacementStrategy(type="spread", field="instanceId")),
        ({"spread": "zone"}, PlacementStrategy(type="spread", field="attribute:zone")),
        ({"spread": "attribute:zone"}, PlacementStrategy(type="spread", field="attribute:zone")),
    ],
)
def test_strategies(options: dict[str, Any], strategy: PlacementStrategy) -> None:
    """ECS places as the options say."""
    run_options = RunOptions(task=attrs.evolve(TASK, **options), launch_type="EC2")
    assert run_task_request(run_options, template(TASK)).placement_strategy == (strategy,)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ({}, FARGATE | {"capacity_providers": capacity_providers(["x"])}, "--capacity-provider excludes --fargate"),
        ({"instances": ("a",)}, FARGATE, "--instances can't be used where ECS places the task"),
        ({"spread": "zone"}, FARGATE, "Fargate has no instances"),
        ({"random": True}, {"capacity_providers": capacity_providers(["FARGATE_SPOT"])}, "Fargate has no instances"),
        ({"wait_for_capacity": 3.0}, FARGATE, "--wait-for-capacity is for tasks that aioecs places"),
        ({"wait_for_capacity": 3.0, "instances": ("a",)}, {}, "--wait-for-capacity is for tasks that aioecs places"),
        ({"instances": ("a", "b")}, {}, "a run is one task: name one instance"),
        ({"count": 2}, {}, "a run is one task, not 2"),
        ({}, {"max_running": 3}, "--max-running is for --jobs"),
        ({"jobs": ()}, {"follow": True}, "--follow and --jobs exclude each other"),
        ({"cluster": None}, {}, "--cluster is missing"),
        ({"started_by": "x" * 129}, FARGATE, "--started-by"),
    ],
)
def test_what_excludes_what(task: dict[str, Any], options: dict[str, Any], message: str) -> None:
    """It is refused before anything is looked up."""
    with pytest.raises(UsageError, match=message):
        validated(RunOptions(task=attrs.evolve(TASK, **task), **options))


@pytest.mark.parametrize(
    ("job", "task", "options", "message"),
    [
        ({"containerInstances": ["a"]}, {}, FARGATE, "ECS places the task: leave containerInstances out"),
        ({"containerInstances": ["a", "b"]}, {}, {}, "a run is one task: name one instance"),
        ({"containerInstances": ["a"]}, {"wait_for_capacity": 3.0}, {}, "--wait-for-capacity is for tasks that"),
        ({}, {}, {"launch_type": 5}, "--launch-type: a string"),
    ],
)
def test_jobs_that_contradict_the_options(
    job: dict[str, Any], task: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    """They are refused before anything is started."""
    given = RunOptions(task=attrs.evolve(TASK, jobs=(), **task), **options)
    with pytest.raises(UsageError, match=message):
        with_jobs(given, [json.dumps(job)])


def test_capacity_providers() -> None:
    """A name, and a weight if it has one."""
    assert capacity_providers(["FARGATE_SPOT", "FARGATE=3"]) == (
        CapacityProviderStrategyItem(capacity_provider="FARGATE_SPOT", weight=1),
        CapacityProviderStrategyItem(capacity_provider="FARGATE", weight=3),
    )
    for arg in ("=3", "a=b", ""):
        with pytest.raises(UsageError, match="expected NAME or NAME=WEIGHT"):
            capacity_providers([arg])


def test_fargate_on_the_local_ecs() -> None:
    """It gets a network, for Fargate needs one."""
    options = validated(RunOptions(task=StartOptions(local=True), **FARGATE))
    assert options.fargate
    assert options.task.network is not None


def test_input_for_run_task() -> None:
    """What asks for RunTask is RunTask here, its token among it; options win."""
    plain = {
        "cluster": "x",
        "taskDefinition": "td",
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "clientToken": "t",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}},
    }
    options = validated(with_given_input(RunOptions(task=StartOptions(cluster="c")), plain, "--cli-input-json"))
    request = run_task_request(options, template(options.task))
    assert (request.cluster, request.launch_type, request.client_token) == ("c", "FARGATE", "t")
    assert (request.platform_version, options.task.idempotency_key) == ("1.4.0", None)
    assert request.network_configuration is not None
    strategy = {"taskDefinition": "td", "cluster": "c", "capacityProviderStrategy": [{"capacityProvider": "p"}]}
    assert with_given_input(RunOptions(task=StartOptions()), strategy, "o").uses_run_task
    with pytest.raises(UsageError, match="expected an object"):
        with_given_input(RunOptions(task=StartOptions()), [], "--cli-input-json")


@pytest.mark.parametrize(
    "options", [FARGATE | {"platform_version": "1"}, {"capacity_providers": capacity_providers(["mine"])}]
)
def test_options_win_over_an_input_that_has_them_too(options: dict[str, Any]) -> None:
    """What the input says of the same doesn't count."""
    plain = {"launchType": "EXTERNAL", "platformVersion": "2", "capacityProviderStrategy": [{"capacityProvider": "x"}]}
    given = RunOptions(task=TASK, **options)
    found = with_given_input(given, plain, "--cli-input-json")
    assert (found.launch_type, found.capacity_providers) == (given.launch_type, given.capacity_providers)
    assert found.platform_version == (given.platform_version or "2")


@pytest.mark.parametrize("strategy", [["x"], 5, {"capacityProvider": "x"}])
def test_input_with_a_strategy_that_is_none(strategy: object) -> None:
    """It is a wrong option, not a traceback."""
    with pytest.raises(UsageError, match="--cli-input-json: capacityProviderStrategy"):
        with_given_input(RunOptions(task=TASK), {"capacityProviderStrategy": strategy}, "--cli-input-json")


def test_input_for_start_task() -> None:
    """Without a launch type it is a StartTask, and the token its key."""
    plain = {"cluster": "x", "taskDefinition": "td", "clientToken": "t"}
    options = with_given_input(RunOptions(task=StartOptions()), plain, "--cli-input-json")
    assert not options.uses_run_task
    assert options.places
    assert options.task.idempotency_key == "t"
