"""The exit statuses of the commands, and what the help says of them."""

from __future__ import annotations

import ast
import re
import signal
from pathlib import Path

import pytest

import aioecs.cli
from aioecs.cli._display import status as _status
from aioecs.cli._display.status import CANNOT, DONE, EPILOG, INTERRUPTED, PARTLY, UNWRITTEN

STATUSES = {name: value for name, value in vars(_status).items() if isinstance(value, int)}
EXITS = ("exit", "_exit", "Exit", "SystemExit")
COMMANDS = sorted(Path(aioecs.cli.__file__).parent.glob("*.py"))


def test_each_has_its_own_meaning() -> None:
    """0 is success to a shell; wrong arguments and failed work have statuses of their own."""
    assert STATUSES == {"DONE": 0, "PARTLY": 1, "CANNOT": 2, "UNWRITTEN": 3, "INTERRUPTED": 128 + signal.SIGINT}


def test_the_help_names_them_all() -> None:
    """In order, and no other."""
    message = re.findall(r"(?:^|[ ,])(\d+) (?=[a-z])", EPILOG)
    assert [int(status) for status in message] == [DONE, PARTLY, CANNOT, UNWRITTEN, INTERRUPTED]


def bare(source: str) -> list[str]:
    """List the exits with a number that is not one of these by name."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    exits = [
        call for call in calls if ast.unparse(call.func).rpartition(".")[2] in ("exit", "_exit", "Exit", "SystemExit")
    ]
    given = [value for call in exits for value in (*call.args, *(each.value for each in call.keywords))]
    return [ast.unparse(value) for value in given if isinstance(value, ast.Constant) and isinstance(value.value, int)]


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_no_command_has_a_number_of_its_own(path: Path) -> None:
    """What it exits with is named here."""
    assert bare(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("raise typer.Exit(1)", ["1"]),
        ("sys.exit(code=2)", ["2"]),
        ("os._exit(INTERRUPTED)", []),
        ("sys.exit(run())", []),
    ],
)
def test_a_number_of_its_own_is_found(source: str, found: list[str]) -> None:
    """However it is given."""
    assert bare(source) == found
