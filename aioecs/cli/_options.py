"""Options of the commands, and how their text becomes values.

Pure. Whatever is wrong raises `UsageError`, whose text never holds the value of an environment variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aioecs import InvalidRequest

WHERE = "Where"
PLACEMENT = "Placement, without --instances"
TASK = "The task"
HOW = "How"
OUTPUT = "Output"


class UsageError(Exception):
    """The command can't be run with these arguments; nothing was started."""


class Policy(StrEnum):
    """What an interrupt does with calls in flight; the names are those of `Client(on_cancel=...)`."""

    STOP = "stop"
    KEEP = "keep"
    ABANDON = "abandon"


class Packed(StrEnum):
    """The resource that `--binpack` packs by; the names are those of `Binpack(by)`."""

    CPU = "cpu"
    MEMORY = "memory"


class Order(StrEnum):
    """What a list of tasks is sorted by."""

    CREATED = "created"
    STATUS = "status"
    DEFINITION = "definition"
    INSTANCE = "instance"
    STARTED_BY = "started-by"
    STOPPED = "stopped"


class Goal(StrEnum):
    """The state to wait for."""

    RUNNING = "running"
    STOPPED = "stopped"


Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="NAME", help="Name or ARN of the cluster; by default: default.", rich_help_panel=WHERE
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Write JSON, one value a line.", rich_help_panel=OUTPUT, show_default=False)
]
Port = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port; 0 takes a free one.", rich_help_panel=WHERE)
]
Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.", rich_help_panel=WHERE)]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="Name by which it may be called, beside addresses and localhost.",
        rich_help_panel=WHERE,
    ),
]
Faults = Annotated[
    Path | None,
    typer.Option("--faults", metavar="FILE", help="What goes wrong: a fault a line, as JSON.", rich_help_panel=HOW),
]


def pairs(args: Iterable[str], option: str) -> tuple[tuple[str, str], ...]:
    """Read `NAME=VALUE` arguments; the value may be empty and may hold further `=`.

    Raises:
        UsageError: one has no `=` or no name. The message has its position only: the text may be a secret.
    """
    read: list[tuple[str, str]] = []
    for place, arg in enumerate(args, 1):
        name, sign, value = arg.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"{option} needs NAME=VALUE, which number {place} of them is not")
        read.append((name, value))
    return tuple(read)


def instances(lists: Iterable[str]) -> tuple[str, ...]:
    """Read container instances: ids or ARNs, separated by commas. One that is named twice gets twice as many starts.

    Raises:
        UsageError: one is empty, or neither an id nor an ARN.
    """
    from aioecs import InvalidRequest  # a slow import, which help doesn't need
    from aioecs._model import arn

    read: list[str] = []
    for name in (part.strip() for each in lists for part in each.split(",")):
        if not name:
            raise UsageError("--instances: an instance between two commas is empty")
        try:
            arn.instance(name, "--instances")
        except InvalidRequest as error:
            raise UsageError(str(error)) from error
        read.append(name)
    return tuple(read)


def spread_option(args: Sequence[str], option: str) -> list[str]:
    """Let `option` take all arguments up to the next option, and those after a `--` to the end of the line.

    `--command python main.py --json -- --frame 17` becomes `--command=python --command=main.py --json
    --command=--frame --command=17`: one option for each argument, as the parser needs it.

    Raises:
        UsageError: no argument follows `option`.
    """
    end = list(args).index("--") if "--" in args else len(args)
    spread: list[str] = []
    taking = False
    for place, arg in enumerate(args[:end], 1):
        if arg == option:
            taking = place < end and not _is_option(args[place])
            if not taking and end >= len(args) - 1:
                raise UsageError(f"{option} needs at least one argument; those that begin with a dash go after --")
        elif taking and not _is_option(arg):
            spread.append(f"{option}={arg}")
        else:
            taking = False
            spread.append(arg)
    return spread + [f"{option}={arg}" for arg in args[end + 1 :]]


def refused(error: InvalidRequest, options: Mapping[str, str] | None = None) -> UsageError:
    """Return the error for the option of a member that breaks a rule; by default it has the member's name."""
    member = error.path.partition(".")[0].partition("[")[0]
    found = "" if error.found is None else f", not {error.found}"
    return UsageError(f"{(options or {}).get(member, '--' + member.replace('_', '-'))}: {error.rule}{found}")


def _is_option(arg: str) -> bool:
    return arg.startswith("-") and arg != "-"
