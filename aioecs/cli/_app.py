"""Runs a command line: parses the arguments, runs the command, and returns the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import aioecs
from aioecs.cli._display.status import CANNOT, DONE, EPILOG, INTERRUPTED, UNWRITTEN
from aioecs.cli._options import UsageError, spread_option
from aioecs.cli._parser_messages import plain_message
from aioecs.cli._run.exit_status import NOT_STARTED
from aioecs.cli._variables import add_variables

COMMANDS = {
    "run": "Run one task to its end: start it, show its log, and exit with the exit code of its container.",
    "start": "Start tasks on the container instances of a cluster, and report the outcome of each.",
    "stop": "Stop tasks, by id or ARN. Their containers get SIGTERM, and SIGKILL later.",
    "tasks": "List the tasks of a cluster with their status; or show the named tasks in full.",
    "wait": "Wait until tasks run, or until they have stopped, and show them as last described.",
    "logs": "Show what a task has written to its log: all of it, the last lines, or the lines as they come.",
    "watch": "Watch a cluster until Ctrl-C: how many tasks are in which state, and the load of each instance.",
    "instances": "List the container instances of a cluster: their status, their tasks, and their free capacity.",
    "worker": "Run a worker of your own until SIGTERM or Ctrl-C, or check that it is healthy.",
    "local": "Run an ECS on this machine, for any AWS SDK, the AWS CLI or aioecs, until Ctrl-C.",
    "chaos": "Put scripted faults between any AWS SDK and an endpoint of ECS, until Ctrl-C.",
    "conformance": "Check on your own account whether Amazon ECS behaves as aioecs relies on.",
}
"""What there is, with the first line of each help: a command's module is imported only to run it, or for its help."""

STARTING = ("run", "start")
"""Those that take the options of a task, `--command` among them."""

# typer shows this leaf of its parser's errors only; what it derives from is what all of them are.
_ParserError = cast("type[Exception]", typer.BadParameter.__base__)


def _no_type(ctx: Any) -> None:
    """Show nothing."""


def _without_types(params: list[Any]) -> list[Any]:
    """Keep help from showing a type beside a flag, which takes no value.

    A flag such as `--help` is False where it is not given: typer would import pydantic to convert None.
    """
    for param in params:
        if getattr(param, "is_flag", False):
            vars(param)["display_type_rich"] = _no_type
            if not param.expose_value:
                param.default = False
    return params


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments; each option has its environment variable."""
        params = _without_types(super().get_params(ctx))
        add_variables(self.name or "", params)
        return params


_HELP_OPTIONS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


def load(name: str) -> TyperCommand:
    """Import a command, and return it."""
    module = import_module(f"aioecs.cli._commands.{name}")
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    settings: dict[str, Any] = {"allow_extra_args": True} if name in STARTING else {}
    epilog = getattr(module, "EPILOG", EPILOG)
    register = app.command(
        name, cls=_Command, help=module.HELP, epilog=epilog, context_settings={**_HELP_OPTIONS, **settings}
    )
    register(getattr(module, name))
    return cast("TyperCommand", get_command(app))


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options."""
        return _without_types(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 named so by typer
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002
        """Return what the list of commands shows of one."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name], rich_markup_mode="rich")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name, to be run."""
        name, command, remaining = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else command, remaining


app = typer.Typer(
    name="aioecs",
    cls=_Group,
    rich_markup_mode="rich",
    epilog=EPILOG,
    pretty_exceptions_enable=False,  # they show local variables, secrets among them
    context_settings=_HELP_OPTIONS,
)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"aioecs {aioecs.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    _: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Start Amazon ECS tasks: never twice, never lost, never a lie."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(CANNOT)


def run(args: Sequence[str]) -> int:
    """Run a command line and return its exit status; an error is printed on one line of stderr."""
    _open_closed_streams()
    try:
        status = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return DONE
    except SystemExit as ended:
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        _silence_stdout()  # rich ends the process so where help can't be written any more
        return DONE
    except OSError as error:  # help, which typer writes
        _print_error(f"the results could not be written: {error.strerror or error}")
        _silence_stdout()
        return UNWRITTEN
    return status


def _run(args: Sequence[str]) -> int:
    command_name = next((arg for arg in args if not arg.startswith("-")), None)
    try:
        given = spread_option(args, "--command") if command_name in STARTING else list(args)
        return int(get_command(app).main(given, prog_name="aioecs", standalone_mode=False) or 0)
    except (UsageError, _ParserError) as error:
        _print_error(f"{_message(error)} (see {_command(command_name)} --help)")
        return NOT_STARTED if command_name == "run" else CANNOT
    except (KeyboardInterrupt, typer.Abort):  # before anything was in flight
        return INTERRUPTED


def _open_closed_streams() -> None:
    """Let what was closed (`>&-`) be written to nowhere: nobody wants it, and no other file takes its number."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 until the process ends


def _command(command_name: str | None) -> str:
    return f"aioecs {command_name}" if command_name in COMMANDS else "aioecs"


def _message(error: Exception) -> str:
    return plain_message(getattr(error, "format_message", error.__str__)())


def _print_error(message: str) -> None:
    from aioecs.cli._display.streams import Streams  # most command lines have no error

    Streams().print_error(message)


def _silence_stdout() -> None:
    from aioecs.cli._display.streams import silence_stdout

    silence_stdout()
