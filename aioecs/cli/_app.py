"""Runs a command line: parses the arguments, runs the command, and returns the exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import aioecs
from aioecs.cli._commands import instances as _instances
from aioecs.cli._commands import local as _local
from aioecs.cli._commands import start as _start
from aioecs.cli._commands import stop as _stop
from aioecs.cli._commands import tasks as _tasks
from aioecs.cli._commands import wait as _wait
from aioecs.cli._commands import watch as _watch
from aioecs.cli._display.status import CANNOT, DONE, EPILOG, INTERRUPTED, UNWRITTEN
from aioecs.cli._display.streams import Streams, silence_stdout
from aioecs.cli._options import UsageError, spread_option
from aioecs.cli._variables import add_variables

# typer shows this leaf of its parser's errors only; what it derives from is what all of them are.
_ParserError = cast("type[Exception]", typer.BadParameter.__base__)


def _no_type(ctx: Any) -> None:
    """Show nothing."""


def _without_types(params: list[Any]) -> list[Any]:
    """Keep help from showing a type beside a flag, which takes no value."""
    for param in params:
        if getattr(param, "is_flag", False):
            vars(param)["display_type_rich"] = _no_type
    return params


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments; each option has its environment variable."""
        params = _without_types(super().get_params(ctx))
        add_variables(self.name or "", params)
        return params


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options."""
        return _without_types(super().get_params(ctx))


app = typer.Typer(
    name="aioecs",
    cls=_Group,
    rich_markup_mode="rich",
    epilog=EPILOG,
    pretty_exceptions_enable=False,  # they show local variables, secrets among them
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("start", cls=_Command, help=_start.HELP, epilog=EPILOG, context_settings={"allow_extra_args": True})(
    _start.start
)
app.command("stop", cls=_Command, help=_stop.HELP, epilog=EPILOG)(_stop.stop)
app.command("tasks", cls=_Command, help=_tasks.HELP, epilog=EPILOG)(_tasks.tasks)
app.command("wait", cls=_Command, help=_wait.HELP, epilog=EPILOG)(_wait.wait)
app.command("watch", cls=_Command, help=_watch.HELP, epilog=EPILOG)(_watch.watch)
app.command("instances", cls=_Command, help=_instances.HELP, epilog=EPILOG)(_instances.instances)
app.command("local", cls=_Command, help=_local.HELP, epilog=EPILOG)(_local.local)


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


def run(words: Sequence[str]) -> int:
    """Run a command line and return its exit status; an error is printed on one line of stderr."""
    try:
        status = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return DONE
    except OSError as error:  # help, which typer writes
        Streams().print_error(f"the results could not be written: {error.strerror or error}")
        silence_stdout()
        return UNWRITTEN
    return status


def _run(words: Sequence[str]) -> int:
    command_name = next((word for word in words if not word.startswith("-")), None)
    try:
        given = spread_option(words, "--command") if command_name == "start" else list(words)
        return int(get_command(app).main(given, prog_name="aioecs", standalone_mode=False) or 0)
    except (UsageError, _ParserError) as error:
        Streams().print_error(f"{_message(error)} (see {_command(command_name)} --help)")
        return CANNOT
    except (KeyboardInterrupt, typer.Abort):  # before anything was in flight
        return INTERRUPTED


def _command(command_name: str | None) -> str:
    known = {command.name for command in app.registered_commands}
    return f"aioecs {command_name}" if command_name in known else "aioecs"


def _message(error: Exception) -> str:
    message: str = getattr(error, "format_message", error.__str__)()
    return message
