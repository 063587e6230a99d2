"""The options of a task and its placement, which `aioecs start` and `aioecs run` share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from aioecs.cli import _options
from aioecs.cli._option_groups import with_group
from aioecs.cli._options import HOW, PLACEMENT, TASK, WHERE, Packed

if TYPE_CHECKING:
    from aioecs.cli._start.options import StartOptions

GIVEN = "From what you have"

Cluster = Annotated[
    str | None, typer.Option("--cluster", metavar="NAME", help="Name or ARN of the cluster.", rich_help_panel=WHERE)
]
Instances = Annotated[
    list[str] | None,
    typer.Option(
        "--instances",
        metavar="ID,ID...",
        help="Container instances to start on, in turn: ids, beginnings of ids, or ARNs, separated by commas.",
        rich_help_panel=WHERE,
    ),
]
Local = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Use an ECS embedded in this command, with 20 instances: no account and no other option is needed.",
        rich_help_panel=WHERE,
    ),
]
SpreadBy = Annotated[
    str | None,
    typer.Option(
        "--spread",
        metavar="ATTR",
        help="Spread tasks evenly over the values of an attribute, such as ecs.availability-zone, and over the "
        "instances within each; by default over the instances: instanceId.",
        rich_help_panel=PLACEMENT,
    ),
]
BinpackBy = Annotated[
    Packed | None,
    typer.Option(
        "--binpack",
        help="Use as few instances as possible: fill first what has the least CPU or memory free.",
        rich_help_panel=PLACEMENT,
    ),
]
Random = Annotated[bool, typer.Option("--random", help="Use any instance with capacity.", rich_help_panel=PLACEMENT)]
DistinctInstance = Annotated[
    bool,
    typer.Option("--distinct-instance", help="Start at most one task on each instance.", rich_help_panel=PLACEMENT),
]
MemberOf = Annotated[
    list[str] | None,
    typer.Option(
        "--member-of",
        metavar="EXPR",
        help="Use only instances that match a cluster query expression; may be repeated.",
        rich_help_panel=PLACEMENT,
    ),
]
WaitForCapacity = Annotated[
    float | None,
    typer.Option(
        "--wait-for-capacity",
        metavar="SECONDS",
        min=0,
        help="Wait for capacity so long; by default a start without capacity is refused.",
        rich_help_panel=PLACEMENT,
    ),
]
TaskDefinition = Annotated[
    str | None,
    typer.Option(
        "--task-definition",
        metavar="NAME",
        help="Task definition: family, family:revision, or ARN.",
        rich_help_panel=TASK,
    ),
]
Environment = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        metavar="NAME=VALUE",
        help="Environment variable of the container; may be repeated.",
        rich_help_panel=TASK,
    ),
]
ContainerCommand = Annotated[
    list[str] | None,
    typer.Option(
        "--command",
        metavar="WORD...",
        help="Command of the container: the arguments up to the next option, and those after --.",
        rich_help_panel=TASK,
    ),
]
Container = Annotated[
    str | None,
    typer.Option(
        "--container",
        metavar="NAME",
        help="The container that --env and --command are for, if the task has several, and whose exit code decides "
        "where tasks are waited for.",
        rich_help_panel=TASK,
    ),
]
Cpu = Annotated[
    int | None,
    typer.Option("--cpu", metavar="UNITS", min=1, help="CPU of the task, 1024 to a vCPU.", rich_help_panel=TASK),
]
Memory = Annotated[
    int | None, typer.Option("--memory", metavar="MIB", min=1, help="Memory of the task.", rich_help_panel=TASK)
]
StartedBy = Annotated[
    str | None,
    typer.Option(
        "--started-by",
        metavar="MARK",
        help="startedBy of the tasks, to find them by. Without it each call gets a token, which finds a start whose "
        "answer was lost.",
        rich_help_panel=TASK,
    ),
]
TaskGroup = Annotated[
    str | None, typer.Option("--group", metavar="NAME", help="Name of the task group.", rich_help_panel=TASK)
]
InputJson = Annotated[
    str | None,
    typer.Option(
        "--cli-input-json",
        metavar="JSON",
        help="Input of aws ecs start-task or run-task, as JSON or file://NAME; other options win over it.",
        rich_help_panel=GIVEN,
    ),
]
InputYaml = Annotated[
    str | None,
    typer.Option("--cli-input-yaml", metavar="YAML", help="The same as YAML; it needs PyYAML.", rich_help_panel=GIVEN),
]
Overrides = Annotated[
    str | None,
    typer.Option(
        "--overrides",
        metavar="JSON",
        help="Overrides in the form that ECS has them in: JSON, or the name of a file of it.",
        rich_help_panel=GIVEN,
    ),
]
Jobs = Annotated[
    str | None,
    typer.Option(
        "--jobs",
        metavar="FILE",
        help="A file with a line of JSON for each task, which says what is different in it; - for standard input.",
        rich_help_panel=GIVEN,
    ),
]
EnvFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="Environment variables of the container, NAME=VALUE a line; --env wins; may be repeated.",
        rich_help_panel=GIVEN,
    ),
]
Network = Annotated[
    str | None,
    typer.Option(
        "--network-configuration",
        metavar="JSON",
        help="Network of the task: JSON, a file, or awsvpcConfiguration={subnets=[...]}.",
        rich_help_panel=TASK,
    ),
]
Subnets = Annotated[
    list[str] | None,
    typer.Option("--subnets", metavar="ID,ID...", help="Subnets of the task's network.", rich_help_panel=TASK),
]
SecurityGroups = Annotated[
    list[str] | None,
    typer.Option(
        "--security-groups", metavar="ID,ID...", help="Security groups of the task's network.", rich_help_panel=TASK
    ),
]
PublicIp = Annotated[
    bool, typer.Option("--assign-public-ip", help="Give the task a public IP address.", rich_help_panel=TASK)
]
NoPublicIp = Annotated[
    bool, typer.Option("--no-assign-public-ip", help="Give the task no public IP address.", rich_help_panel=TASK)
]
TaskRole = Annotated[
    str | None,
    typer.Option("--task-role", metavar="ARN", help="Role that the task's code assumes.", rich_help_panel=TASK),
]
ExecuteCommand = Annotated[
    bool,
    typer.Option("--enable-execute-command", help="Let ECS Exec open a shell in the containers.", rich_help_panel=TASK),
]
Volumes = Annotated[
    list[str] | None,
    typer.Option(
        "--volume",
        metavar="JSON",
        help="Configuration of a volume that the task definition leaves open; JSON or a file; may be repeated.",
        rich_help_panel=TASK,
    ),
]
PropagateTags = Annotated[
    str | None,
    typer.Option(
        "--propagate-tags",
        metavar="TASK_DEFINITION|NONE",
        help="Whose tags are copied onto the task.",
        rich_help_panel=TASK,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tags",
        "--tag",
        metavar="NAME=VALUE",
        help="Tag of the task, also as key=NAME,value=VALUE or a JSON list; may be repeated.",
        rich_help_panel=TASK,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="The same command with the same key finds what it has started before, and starts nothing twice.",
        rich_help_panel=HOW,
    ),
]


def _task_options(
    *,
    cluster: Cluster = None,
    instances: Instances = None,
    local: Local = False,
    spread: SpreadBy = None,
    binpack: BinpackBy = None,
    random: Random = False,
    distinct_instance: DistinctInstance = False,
    member_of: MemberOf = None,
    wait_for_capacity: WaitForCapacity = None,
    task_definition: TaskDefinition = None,
    environment: Environment = None,
    command: ContainerCommand = None,
    container: Container = None,
    cpu: Cpu = None,
    memory: Memory = None,
    started_by: StartedBy = None,
    group: TaskGroup = None,
    overrides: Overrides = None,
    env_files: EnvFiles = None,
    network: Network = None,
    subnets: Subnets = None,
    security_groups: SecurityGroups = None,
    public_ip: PublicIp = False,
    no_public_ip: NoPublicIp = False,
    task_role: TaskRole = None,
    execute_command: ExecuteCommand = False,
    volumes: Volumes = None,
    propagate_tags: PropagateTags = None,
    tags: Tags = None,
    idempotency_key: Key = None,
) -> StartOptions:
    """Read the options.

    Raises:
        UsageError: one can't be read.
    """
    # Imported here: help needs none of it.
    from aioecs.cli._start import request_input
    from aioecs.cli._start.options import StartOptions

    if public_ip and no_public_ip:
        raise _options.UsageError("--assign-public-ip and --no-assign-public-ip exclude each other")
    return StartOptions(
        cluster=cluster,
        task_definition=task_definition,
        instances=_options.instances(instances or ()),
        spread=spread,
        binpack=binpack,
        random=random,
        distinct_instance=distinct_instance,
        member_of=tuple(member_of or ()),
        wait_for_capacity=wait_for_capacity,
        local=local,
        environment=(
            *request_input.env_files("--env-file", env_files or (), os.environ),
            *_options.pairs(environment or (), "--env"),
        ),
        container=container,
        command=tuple(command or ()),
        cpu=cpu,
        memory=memory,
        started_by=started_by,
        group=group,
        tags=request_input.tags("--tags", tags or ()),
        overrides=None if overrides is None else request_input.overrides("--overrides", overrides),
        network=request_input.network(
            network, subnets or (), security_groups or (), public_ip=public_ip if public_ip or no_public_ip else None
        ),
        task_role=task_role,
        enable_execute_command=execute_command,
        volumes=request_input.volumes("--volume", volumes or ()),
        propagate_tags=propagate_tags,
        idempotency_key=idempotency_key,
    )


with_task_options = with_group(_task_options, "task", first=True)
"""Adds these options to a command, which gets them as one value, its parameter `task`."""
