"""Options of `aioecs start` that take what users already have: files, JSON, networks, jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from aioecs.cli._options import HOW, OUTPUT, TASK

GIVEN = "From what you have"

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
        help="Overrides as ECS writes them: JSON, or the name of a file of it.",
        rich_help_panel=GIVEN,
    ),
]
Jobs = Annotated[
    str | None,
    typer.Option(
        "--jobs",
        metavar="FILE",
        help="A task for each line of JSON, each different from the others as its line says; - for standard input.",
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
    bool | None,
    typer.Option(
        "--assign-public-ip/--no-assign-public-ip",
        help="Whether the task gets a public IP address.",
        rich_help_panel=TASK,
        show_default=False,
    ),
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
        help="The same command with the same key finds what it has started, and starts nothing twice.",
        rich_help_panel=HOW,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show where each would go and how calls would be combined; nothing is started.",
        rich_help_panel=OUTPUT,
    ),
]
