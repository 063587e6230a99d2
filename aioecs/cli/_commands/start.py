"""The command `aioecs start`: its options and their help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._options import HOW, OUTPUT, WHERE, AsJson, Policy
from aioecs.cli._start.arguments import InputJson, InputYaml, Jobs, with_task_options

if TYPE_CHECKING:
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


MOST = 1_000_000_000
"""The largest count: more than any account runs, and few enough to be counted."""


@with_access
@with_task_options
def start(
    context: typer.Context,
    all_instances: Annotated[
        bool,
        typer.Option(
            "--all-instances", help="Start on all ACTIVE instances of the cluster, in turn.", rich_help_panel=WHERE
        ),
    ] = False,
    input_json: InputJson = None,
    input_yaml: InputYaml = None,
    jobs: Jobs = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count", metavar="N", min=1, max=MOST, help="How many tasks; by default one.", rich_help_panel=HOW
        ),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency", metavar="N", min=1, help="How many calls at the same time, at most.", rich_help_panel=HOW
        ),
    ] = 50,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Wait until all started tasks have stopped; the exit status is 1 unless each succeeded.",
            rich_help_panel=HOW,
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0,
            help="How long --wait waits, at most, once all have started; the tasks go on.",
            rich_help_panel=HOW,
        ),
    ] = None,
    on_cancel: Annotated[
        Policy,
        typer.Option(
            "--on-cancel",
            help="What Ctrl-C does with calls in flight: stop what they start, keep (wait, and leave it running), "
            "or abandon (end at once: UNKNOWN).",
            rich_help_panel=HOW,
        ),
    ] = Policy.STOP,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show where each would go and how calls would be combined; nothing is started.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    as_json: AsJson = False,
    *,
    task: StartOptions,
    access: Access,
) -> int:
    """Read the options, start, and return the exit status; `HELP` is what the user reads."""
    # Imported here, as below: help needs none of it.
    import attrs

    from aioecs.cli._start import given_input
    from aioecs.cli._start.cli_input import with_input
    from aioecs.cli._start.options import validated, with_jobs

    given_input.refuse_arguments(context.args)
    options = attrs.evolve(
        task,
        count=count or 1,
        all_instances=all_instances,
        wait=wait,
        timeout=timeout,
        jobs=None if jobs is None else (),
        dry_run=dry_run,
        on_cancel=on_cancel,
        concurrency=concurrency,
        access=access,
    )
    given = given_input.cli_input(input_json, input_yaml)
    options = validated(options if given is None else with_input(options, given[1], given[0], count=count))
    if jobs is not None:
        options = with_jobs(options, given_input.job_lines(jobs))
    return _run(options, access, as_json=as_json)


def _run(options: StartOptions, access: Access, *, as_json: bool) -> int:
    import asyncio
    from functools import partial

    from aioecs.cli._display.streams import Streams
    from aioecs.cli._read_command import run_with_client
    from aioecs.cli._start.dry_run import dry_run
    from aioecs.cli._start.run import Run

    streams = Streams()
    if options.dry_run:
        return asyncio.run(run_with_client(access, streams, partial(dry_run, options, streams, as_json=as_json)))
    return asyncio.run(Run(options, streams, as_json=as_json).go())
