"""From options to requests: what is refused, what --local fills in, how starts are spread."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aioecs import (
    AwsVpcConfiguration,
    Binpack,
    ContainerOverride,
    DistinctInstance,
    KeyValuePair,
    MemberOf,
    NetworkConfiguration,
    Random,
    Spread,
    StartTaskRequest,
    Tag,
    TaskOverride,
    TaskVolumeConfiguration,
)
from aioecs.cli._access import Access
from aioecs.cli._options import Packed, UsageError
from aioecs.cli._start.options import StartOptions, requests, template, validated, with_jobs

WHERE: dict[str, Any] = {"cluster": "c", "task_definition": "td"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"local": True, "instances": ("a",)}, "--instances and --local exclude each other"),
        ({"local": True, "access": Access(endpoint_url="http://x")}, "--endpoint-url and --local exclude each other"),
        ({"local": True, "access": Access(profile="p")}, "--profile and --local exclude each other"),
        ({**WHERE, "instances": ("a",), "all_instances": True}, "--instances and --all-instances exclude each other"),
        ({}, "--cluster is missing: where to start; or --local"),
        ({"task_definition": "td"}, "--cluster is missing: where to start; or --local"),
        ({"cluster": "c"}, "--task-definition is missing"),
        ({**WHERE, "spread": "host", "binpack": Packed.CPU}, "--spread and --binpack exclude each other"),
        ({"local": True, "binpack": Packed.MEMORY, "random": True}, "--binpack and --random exclude each other"),
        ({**WHERE, "spread": "host", "instances": ("a",)}, "--spread and --instances exclude each other"),
        ({**WHERE, "binpack": Packed.CPU, "instances": ("a",)}, "--binpack and --instances exclude each other"),
        ({**WHERE, "random": True, "all_instances": True}, "--random and --all-instances exclude each other"),
        ({**WHERE, "distinct_instance": True, "instances": ("a",)}, "--distinct-instance and --instances exclude"),
        ({**WHERE, "member_of": ("x",), "all_instances": True}, "--member-of and --all-instances exclude"),
        ({"local": True, "spread": "host", "all_instances": True}, "--spread and --all-instances exclude"),
        ({"local": True, "spread": "no name"}, "--spread: instanceId, or the name of an attribute"),
        ({"local": True, "member_of": ("ok == 1", " ")}, "--member-of: a statement of the cluster query language"),
        (
            {"local": True, "wait_for_capacity": float("nan")},
            "--wait-for-capacity: a number of seconds, 0 or more, not nan",
        ),
        ({"task_definition": "td", "all_instances": True}, "--cluster is missing"),
        ({"cluster": "c", "all_instances": True}, "--task-definition is missing"),
        ({"local": True, "cluster": "my cluster"}, "--cluster: a cluster's name or ARN, not 'my cluster'"),
        ({**WHERE, "idempotency_key": " "}, "--idempotency-key is empty"),
        ({**WHERE, "idempotency_key": "k", "started_by": "m"}, "--idempotency-key and --started-by exclude"),
        ({**WHERE, "idempotency_key": "k", "all_instances": True}, "--idempotency-key and --all-instances exclude"),
        ({**WHERE, "jobs": (), "count": 2}, "--count and --jobs exclude each other"),
        ({**WHERE, "dry_run": True, "wait": True}, "--dry-run and --wait exclude each other"),
        ({"local": True, "started_by": "ü"}, "at most 36 characters"),
        ({"local": True, "started_by": "x" * 37}, "at most 36 characters"),
        ({"local": True, "tags": (("aws:x", "1"),)}, "--tags: may not begin with 'aws:'"),
        ({"local": True, "tags": (("a", "1"), ("a", "2"))}, "--tags: each key once"),
        (
            {"local": True, "environment": (("A", "x" * 9000),)},
            "--env, --command, --cpu, --memory, --task-role, --overrides: at most",
        ),
    ],
)
def test_what_is_refused(given: dict[str, Any], message: str) -> None:
    """Contradictions, gaps and broken limits are refused with the option's name, before anything is begun."""
    with pytest.raises(UsageError) as refused:
        validated(StartOptions(**given))
    assert message in str(refused.value)


def test_local_goes_without_anything() -> None:
    """With --local everything has a default."""
    options = validated(StartOptions(local=True))
    assert (options.cluster, options.task_definition, options.container) == ("default", "demo", "main")
    assert options.uses_placement


def test_local_round_robin() -> None:
    """With --local and --all-instances the starts go to all instances in turn."""
    assert not validated(StartOptions(local=True, all_instances=True)).uses_placement


def test_local_keeps_what_is_given() -> None:
    """What is given stands."""
    options = validated(StartOptions(local=True, cluster="c", task_definition="td:1", container="side"))
    assert (options.cluster, options.task_definition, options.container) == ("c", "td:1", "side")


@pytest.mark.parametrize("given", [{}, {"instances": ("a", "b")}, {"all_instances": True}, {"wait_for_capacity": 0.5}])
def test_a_real_cluster_is_left_as_asked(given: dict[str, Any]) -> None:
    """Without --local nothing is filled in."""
    options = StartOptions(**WHERE, **given)
    assert validated(options) == options


@pytest.mark.parametrize(
    ("given", "placement"),
    [
        ({}, Spread()),
        ({"spread": "ecs.availability-zone"}, Spread("ecs.availability-zone")),
        ({"binpack": Packed.CPU}, Binpack("cpu")),
        ({"binpack": Packed.MEMORY}, Binpack("memory")),
        ({"random": True}, Random()),
    ],
)
def test_placement(given: dict[str, Any], placement: Spread | Binpack | Random) -> None:
    """The options make a placement; by default tasks are spread over the instances."""
    options = validated(StartOptions(**WHERE, **given))
    assert options.uses_placement
    assert options.placement == placement
    assert options.constraints == ()


def test_constraints() -> None:
    """All of them hold together."""
    options = validated(StartOptions(**WHERE, distinct_instance=True, member_of=("a == 1", "b == 2")))
    assert options.constraints == (DistinctInstance(), MemberOf("a == 1"), MemberOf("b == 2"))


def test_template_without_overrides() -> None:
    """Members without an option are not in the request."""
    request = template(StartOptions(**WHERE))
    assert request.overrides is None
    assert request.tags is None
    assert not request.container_instances


def test_template_with_everything() -> None:
    """Environment and command go to the container; CPU and memory are the task's, as strings."""
    options = StartOptions(
        **WHERE,
        container="main",
        environment=(("A", "1"),),
        command=("echo", "-n"),
        cpu=256,
        memory=512,
        started_by="me",
        group="g",
        tags=(("k", "v"),),
    )
    request = template(options)
    assert request.overrides is not None
    assert request.overrides.container_overrides == (
        ContainerOverride(name="main", environment=[KeyValuePair(name="A", value="1")], command=["echo", "-n"]),
    )
    assert (request.overrides.cpu, request.overrides.memory) == ("256", "512")
    assert (request.started_by, request.group, request.tags) == ("me", "g", (Tag(key="k", value="v"),))


@pytest.mark.parametrize(("given", "cpu", "memory"), [({"cpu": 1}, "1", None), ({"memory": 2}, None, "2")])
def test_task_size_needs_no_container(given: dict[str, Any], cpu: str | None, memory: str | None) -> None:
    """CPU and memory override the task, so no container is named."""
    overrides = template(StartOptions(**WHERE, **given)).overrides
    assert overrides is not None
    assert (overrides.cpu, overrides.memory, overrides.container_overrides) == (cpu, memory, None)


@pytest.mark.parametrize(
    ("instances", "count", "sizes"),
    [(3, 1, [1]), (3, 10, [10]), (3, 25, [10, 10, 5]), (20, 20, [10, 10]), (1, 12, [10, 2])],
)
def test_requests(instances: int, count: int, sizes: list[int]) -> None:
    """Starts go round over the instances, ten to a request, as evenly as they can."""
    names = [f"i{number}" for number in range(instances)]
    made = list(requests(template(StartOptions(**WHERE)), names, count))
    assert [len(request.container_instances) for request in made] == sizes
    each = Counter(name for request in made for name in request.container_instances)
    assert each.total() == count
    assert max(each.values()) - min(each[name] for name in names) <= 1


def test_requests_are_drawn_as_needed() -> None:
    """A billion starts cost nothing until they are drawn."""
    endless = requests(template(StartOptions(**WHERE)), ["a"], 10**9)
    assert next(endless).container_instances == ("a",) * 10


def test_secrets_are_in_no_repr() -> None:
    """Neither the environment's values nor the command's arguments are in a repr."""
    options = StartOptions(environment=(("A", "hunter2"),), command=("hunter2",))
    assert "hunter2" not in repr(options)
    assert "hunter2" not in repr(template(StartOptions(**WHERE, environment=(("A", "hunter2"),))))


def test_a_request_of_the_users_own() -> None:
    """Options replace its members; overrides are merged, member by member."""
    base = StartTaskRequest(
        task_definition="td",
        group="g",
        enable_execute_command=True,
        overrides=TaskOverride(cpu="256", container_overrides=[ContainerOverride(name="log", cpu=8)]),
    )
    options = StartOptions(
        base=base,
        group="h",
        memory=512,
        task_role="arn:aws:iam::123456789012:role/r",
        overrides=TaskOverride(execution_role_arn="arn:aws:iam::123456789012:role/e"),
        environment=(("A", "1"),),
    )
    request = template(options)
    assert (request.task_definition, request.group, request.enable_execute_command) == ("td", "h", True)
    assert request.overrides is not None
    assert (request.overrides.cpu, request.overrides.memory) == ("256", "512")
    assert [each.name for each in request.overrides.container_overrides or ()] == ["log", None]
    assert request.overrides.task_role_arn == "arn:aws:iam::123456789012:role/r"
    assert request.overrides.execution_role_arn == "arn:aws:iam::123456789012:role/e"


def test_network_volumes_and_propagated_tags() -> None:
    """They stand in the request as they were read."""
    network = NetworkConfiguration(awsvpc_configuration=AwsVpcConfiguration(subnets=["subnet-1"]))
    volume = TaskVolumeConfiguration(name="v")
    request = template(StartOptions(**WHERE, network=network, volumes=(volume,), propagate_tags="TASK_DEFINITION"))
    assert request.network_configuration == network
    assert request.volume_configurations == (volume,)
    assert request.propagate_tags == "TASK_DEFINITION"


ONE = '{"containerInstances": ["a", "b"]}'


@pytest.mark.parametrize(
    ("given", "lines", "message"),
    [
        (WHERE, [""], "--jobs: there is no job"),
        (WHERE, ["{}", ONE], "--jobs: containerInstances: name them in all jobs, or in none"),
        ({**WHERE, "instances": ("a",)}, [ONE], "--jobs: the jobs name their instances"),
        ({**WHERE, "spread": "host"}, [ONE], "--spread and --jobs exclude each other"),
        ({"cluster": "c"}, ["{}"], "line 1 of the jobs: taskDefinition is missing, and --task-definition too"),
    ],
)
def test_jobs_that_do_not_go_together(given: dict[str, Any], lines: list[str], message: str) -> None:
    """It is said before anything is started."""
    with pytest.raises(UsageError) as refused:
        with_jobs(validated(StartOptions(**given, jobs=())), lines)
    assert str(refused.value).startswith(message)


def test_jobs() -> None:
    """Each is a task for each instance that it names, or one that is placed."""
    placed = with_jobs(StartOptions(**WHERE, jobs=()), ["{}", "{}"])
    assert (placed.total, placed.uses_placement) == (2, True)
    own = with_jobs(StartOptions(**WHERE, jobs=()), [ONE])
    assert (own.total, own.uses_placement) == (2, False)
