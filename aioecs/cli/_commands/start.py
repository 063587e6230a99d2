"""The command `aioecs start`: its options and their help."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from typing import Annotated

import typer

from aioecs.cli import _options
from aioecs.cli._access import Access, with_access
from aioecs.cli._options import (
    HOW,
    PLACEMENT,
    TASK,
    WHERE,
    AsJson,
    Packed,
    Policy,
    UsageError,
)
from aioecs.cli._start import arguments as _arguments
from aioecs.cli._start import options as _start_options
from aioecs.cli._start import request_input as _request_input
from aioecs.cli._start.cli_input import with_input
from aioecs.cli._start.options import StartOptions

HELP = """
Start tasks on the container instances of a cluster, and report the outcome of each.

aioecs picks the instances: those with a connected agent and enough capacity, with the tasks spread evenly. A start \
that ECS refuses on one instance is sent to another. With --instances or --all-instances the starts go to those in \
turn, and stay there. Starts that are equal but for the instance share calls, ten to a call.

Ctrl-C stops the calls in flight and reports what was started; a second one ends at once. A terminal shows progress; \
a pipe gets the result only.

[bold]Examples[/]

Try it, without an account:

  aioecs start --local --count 1000

Many, on the instances with capacity, evenly over the Availability Zones:

  aioecs start --cluster c1 --task-definition td \\
    --count 500 --spread ecs.availability-zone

On as few instances of a kind as possible, with ten minutes for capacity to become free:

  aioecs start --cluster c1 --task-definition td \\
    --count 500 --binpack memory \\
    --wait-for-capacity 600 \\
    --member-of 'attribute:ecs.instance-type =~ m7.*'

In turn over all instances of a cluster:

  aioecs start --cluster c1 --task-definition td \\
    --all-instances --count 99

One on each of two instances, with a command of their own:

  aioecs start --cluster c1 --task-definition td \\
    --instances 4c54,9f2a --count 2 --env SCENE=17 \\
    --command python main.py -- --fast

Unlike tasks, one for each line of JSON such as {"name": "7", "environment": {"SCENE": "7"}, "cpu": 512}:

  aioecs start --cluster c1 --task-definition td \\
    --jobs jobs.jsonl --json > results.jsonl

What the AWS CLI takes, once, however often it is run:

  aioecs start --cli-input-json file://task.json \\
    --idempotency-key nightly-2026-11-27
"""


@with_access
def start(
    context: typer.Context,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="Name or ARN.", rich_help_panel=WHERE)
    ] = None,
    instances: Annotated[
        list[str] | None,
        typer.Option(
            "--instances",
            metavar="ID,ID...",
            help="On these instances in turn: ids, their prefixes or ARNs, separated by commas.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    all_instances: Annotated[
        bool,
        typer.Option("--all-instances", help="On all ACTIVE instances of the cluster in turn.", rich_help_panel=WHERE),
    ] = False,
    spread: Annotated[
        str | None,
        typer.Option(
            "--spread",
            metavar="ATTR",
            help="Evenly over the values of an attribute, such as ecs.availability-zone, and over the instances "
            "within each; by default over the instances: instanceId.",
            rich_help_panel=PLACEMENT,
        ),
    ] = None,
    binpack: Annotated[
        Packed | None,
        typer.Option("--binpack", help="On as few instances as possible, by what is free.", rich_help_panel=PLACEMENT),
    ] = None,
    random: Annotated[
        bool, typer.Option("--random", help="On any instance with capacity.", rich_help_panel=PLACEMENT)
    ] = False,
    distinct_instance: Annotated[
        bool,
        typer.Option("--distinct-instance", help="At most one on each instance.", rich_help_panel=PLACEMENT),
    ] = False,
    member_of: Annotated[
        list[str] | None,
        typer.Option(
            "--member-of",
            metavar="EXPR",
            help="Only on instances that match a cluster query expression; may be repeated.",
            rich_help_panel=PLACEMENT,
        ),
    ] = None,
    wait_for_capacity: Annotated[
        float | None,
        typer.Option(
            "--wait-for-capacity",
            metavar="SECONDS",
            min=0,
            help="How long to wait for capacity, also on named instances; by default a start without is refused.",
            rich_help_panel=PLACEMENT,
        ),
    ] = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="On an ECS embedded in this command, with 20 instances. Needs no account; all else has defaults.",
            rich_help_panel=WHERE,
        ),
    ] = False,
    task_definition: Annotated[
        str | None,
        typer.Option(
            "--task-definition", metavar="NAME", help="family, family:revision, or ARN.", rich_help_panel=TASK
        ),
    ] = None,
    environment: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME=VALUE",
            help="Environment variable of the container; may be repeated.",
            rich_help_panel=TASK,
        ),
    ] = None,
    command: Annotated[
        list[str] | None,
        typer.Option(
            "--command",
            metavar="WORD...",
            help="Command of the container: the words up to the next option, and those after --.",
            rich_help_panel=TASK,
        ),
    ] = None,
    container: Annotated[
        str | None,
        typer.Option(
            "--container",
            metavar="NAME",
            help="The container that --env and --command are for, if the task has several.",
            rich_help_panel=TASK,
        ),
    ] = None,
    cpu: Annotated[
        int | None,
        typer.Option("--cpu", metavar="UNITS", min=1, help="CPU of the task, 1024 to a vCPU.", rich_help_panel=TASK),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option("--memory", metavar="MIB", min=1, help="Memory of the task.", rich_help_panel=TASK),
    ] = None,
    started_by: Annotated[
        str | None,
        typer.Option(
            "--started-by",
            metavar="MARK",
            help="A mark of your own. Without it each call gets a token, which finds a start whose answer was lost.",
            rich_help_panel=TASK,
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="Task group.", rich_help_panel=TASK)
    ] = None,
    input_json: _arguments.InputJson = None,
    input_yaml: _arguments.InputYaml = None,
    overrides: _arguments.Overrides = None,
    jobs: _arguments.Jobs = None,
    env_files: _arguments.EnvFiles = None,
    network: _arguments.Network = None,
    subnets: _arguments.Subnets = None,
    security_groups: _arguments.SecurityGroups = None,
    public_ip: _arguments.PublicIp = None,
    task_role: _arguments.TaskRole = None,
    execute_command: _arguments.ExecuteCommand = False,
    volumes: _arguments.Volumes = None,
    propagate_tags: _arguments.PropagateTags = None,
    tags: _arguments.Tags = None,
    idempotency_key: _arguments.Key = None,
    dry_run: _arguments.DryRun = False,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, help="How many tasks; by default one.", rich_help_panel=HOW),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, help="Calls at once, at most.", rich_help_panel=HOW)
    ] = 50,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Until all started tasks have stopped; the status is 1 unless each succeeded.",
            rich_help_panel=HOW,
        ),
    ] = False,
    on_cancel: Annotated[
        Policy,
        typer.Option(
            "--on-cancel",
            help="What Ctrl-C does with calls in flight: stop what they start, keep (wait, and leave it running), "
            "or abandon (end at once: UNKNOWN).",
            rich_help_panel=HOW,
        ),
    ] = Policy.STOP,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """Read the options, start, and return the exit status; `HELP` is what the user reads."""
    if context.args:
        # Not repeated here: it may be the value of an environment variable.
        raise UsageError("an argument too many: --env and --tags take one NAME=VALUE each, and a command goes after --")
    options = StartOptions(
        count=count or 1,
        cluster=cluster,
        task_definition=task_definition,
        instances=_options.instances(instances or ()),
        all_instances=all_instances,
        spread=spread,
        binpack=binpack,
        random=random,
        distinct_instance=distinct_instance,
        member_of=tuple(member_of or ()),
        wait_for_capacity=wait_for_capacity,
        wait=wait,
        local=local,
        environment=(
            *_request_input.env_files("--env-file", env_files or (), os.environ),
            *_options.pairs(environment or (), "--env"),
        ),
        container=container,
        command=tuple(command or ()),
        cpu=cpu,
        memory=memory,
        started_by=started_by,
        group=group,
        tags=_request_input.tags("--tags", tags or ()),
        overrides=None if overrides is None else _request_input.overrides("--overrides", overrides),
        network=_request_input.network(network, subnets or (), security_groups or (), public_ip=public_ip),
        task_role=task_role,
        enable_execute_command=execute_command,
        volumes=_request_input.volumes("--volume", volumes or ()),
        propagate_tags=propagate_tags,
        idempotency_key=idempotency_key,
        jobs=None if jobs is None else (),
        dry_run=dry_run,
        on_cancel=on_cancel,
        concurrency=concurrency,
        access=access,
    )
    options = _start_options.validated(_with_input(options, input_json, input_yaml, count))
    if jobs is not None:
        options = _start_options.with_jobs(options, _lines(jobs))
    return _run(options, access, as_json=as_json)


def _run(options: StartOptions, access: Access, *, as_json: bool) -> int:
    # Imported here: help needs none of it.
    from aioecs.cli._display.streams import Streams
    from aioecs.cli._read_command import run_with_client
    from aioecs.cli._start.dry_run import dry_run
    from aioecs.cli._start.run import Run

    streams = Streams()
    if options.dry_run:
        return asyncio.run(run_with_client(access, streams, partial(dry_run, options, streams, as_json=as_json)))
    return asyncio.run(Run(options, streams, as_json=as_json).go())


def _with_input(
    options: StartOptions, input_json: str | None, input_yaml: str | None, count: int | None
) -> StartOptions:
    """Add the input in the AWS CLI's form, if there is one."""
    if input_json is not None and input_yaml is not None:
        raise UsageError("--cli-input-json and --cli-input-yaml exclude each other")
    if input_json is not None:
        plain = _request_input.read_json("--cli-input-json", input_json)
        return with_input(options, plain, "--cli-input-json", count=count)
    if input_yaml is not None:
        plain = _request_input.read_yaml("--cli-input-yaml", input_yaml)
        return with_input(options, plain, "--cli-input-yaml", count=count)
    return options


def _lines(name: str) -> list[str]:
    """Return the lines of the jobs, from a file or standard input."""
    return (sys.stdin.read() if name == "-" else _request_input.read_file("--jobs", name)).splitlines()
