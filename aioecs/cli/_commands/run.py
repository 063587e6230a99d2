"""The command `aioecs run`: its options and their help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._options import HOW, OUTPUT, WHERE, AsJson, Policy
from aioecs.cli._start.arguments import InputJson, InputYaml, Jobs, with_task_options

if TYPE_CHECKING:
    from aioecs.cli._run.options import RunOptions
    from aioecs.cli._start.options import StartOptions

HELP = """
Run one task to its end: start it, show its log, and exit with the exit code of its container.

aioecs picks the instance, as aioecs start does; with --instances it is the one that you name, and with --fargate, \
--launch-type or --capacity-provider ECS places the task (RunTask). A terminal shows the log as it comes, with the \
state of the task on stderr; a pipe gets it with --follow only. The log is read from CloudWatch Logs.

Ctrl-C stops the task, and says so; a second one ends at once. With --jobs it runs a task for each line, and writes \
each result as a line of JSON.

[bold]Examples[/]

Try it, without an account; the local task ends after 3 seconds:

  aioecs run --local

  aioecs run --local --env EXIT_CODE=3 --env SECONDS=9

On an instance of the cluster, for at most ten minutes:

  aioecs run --cluster c1 --task-definition td \\
    --timeout 600 --command python main.py -- --fast

On Fargate:

  aioecs run --cluster c1 --task-definition td \\
    --fargate --subnets subnet-1,subnet-2 \\
    --security-groups sg-1

Unlike tasks, fifty at a time, with all results as JSON:

  aioecs run --cluster c1 --task-definition td \\
    --jobs jobs.jsonl --max-running 50 > results.jsonl
"""

EPILOG = (
    "[bold]Exit status[/]: that of the container, from 0 to 255. Without an exit code: 122 its host was lost, or the "
    "like; 126 it never ran (an image could not be pulled, for example); 137 out of memory; 143 somebody stopped it. "
    "Of aioecs itself: 121 the output could not be written, 123 it is not known what became of the task, "
    "124 it was stopped after --timeout, 125 nothing was started, 130 interrupted. With --jobs: 0 if all succeeded, "
    "else 1, or one of these.\n\n"
    "[bold]Environment[/]: an option may come from a variable: AIOECS_RUN_TIMEOUT=9 is run --timeout 9. "
    "AIOECS_CLUSTER, AIOECS_REGION, AIOECS_PROFILE, AIOECS_ENDPOINT_URL and the other options of access hold for all "
    "commands. NO_COLOR=1 leaves colours out."
)


@with_access
@with_task_options
def run(
    context: typer.Context,
    fargate: Annotated[
        bool,
        typer.Option("--fargate", help="Run on AWS Fargate; the same as --launch-type FARGATE.", rich_help_panel=WHERE),
    ] = False,
    launch_type: Annotated[
        str | None,
        typer.Option(
            "--launch-type",
            metavar="TYPE",
            help="Let ECS place the task: FARGATE, EC2, EXTERNAL or MANAGED_INSTANCES.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    capacity_provider: Annotated[
        list[str] | None,
        typer.Option(
            "--capacity-provider",
            metavar="NAME[=WEIGHT]",
            help="Let ECS place the task on this capacity provider, such as FARGATE_SPOT; may be repeated.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    platform_version: Annotated[
        str | None,
        typer.Option(
            "--platform-version", metavar="VERSION", help="Platform version of Fargate.", rich_help_panel=WHERE
        ),
    ] = None,
    input_json: InputJson = None,
    input_yaml: InputYaml = None,
    jobs: Jobs = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0,
            help="Stop a task that has not ended by then: the status is 124. Without it, it takes as long as it takes.",
            rich_help_panel=HOW,
        ),
    ] = None,
    max_running: Annotated[
        int | None,
        typer.Option(
            "--max-running",
            metavar="N",
            min=1,
            help="With --jobs: how many tasks run at the same time, at most.",
            rich_help_panel=HOW,
        ),
    ] = None,
    on_cancel: Annotated[
        Policy,
        typer.Option(
            "--on-cancel",
            help="What Ctrl-C does with the task: stop it, keep it running, or abandon it without waiting for answers.",
            rich_help_panel=HOW,
        ),
    ] = Policy.STOP,
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow",
            help="Whether the log is shown; by default on a terminal only. Without it the last lines are shown if the "
            "task fails.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    *,
    task: StartOptions,
    access: Access,
) -> int:
    """Read the options, run, and return the exit status; `HELP` is what the user reads."""
    # Imported here, as below: help needs none of it.
    import attrs

    from aioecs.cli._options import UsageError
    from aioecs.cli._run import options as run_options
    from aioecs.cli._start import given_input

    given_input.refuse_arguments(context.args)
    if fargate and launch_type not in (None, "FARGATE"):
        raise UsageError("--fargate and --launch-type exclude each other")
    options = run_options.RunOptions(
        task=attrs.evolve(task, jobs=None if jobs is None else (), on_cancel=on_cancel, access=access),
        launch_type="FARGATE" if fargate else launch_type,
        capacity_providers=run_options.capacity_providers(capacity_provider or []),
        platform_version=platform_version,
        timeout=timeout,
        max_running=max_running,
        follow=follow,
    )
    given = given_input.cli_input(input_json, input_yaml)
    if given is not None:
        options = run_options.with_given_input(options, given[1], given[0])
    options = run_options.validated(options)
    if jobs is not None:
        options = run_options.with_jobs(options, given_input.job_lines(jobs))
    return _run(options, as_json=as_json)


def _run(options: RunOptions, *, as_json: bool) -> int:
    import asyncio

    from aioecs.cli._display.streams import Streams
    from aioecs.cli._run.jobs_run import JobsRun
    from aioecs.cli._run.task_run import TaskRun

    if options.task.jobs is not None:
        return asyncio.run(JobsRun(options, Streams()).go())
    return asyncio.run(TaskRun(options, Streams(), as_json=as_json).go())
