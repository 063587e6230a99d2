"""Environment variables in place of options: `AIOECS_START_COUNT=9` is `aioecs start --count 9`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

PREFIX = "AIOECS"
SHARED = frozenset(
    {
        *("--cluster", "--region", "--profile", "--endpoint-url", "--no-verify-ssl", "--ca-bundle"),
        *("--cli-connect-timeout", "--cli-read-timeout"),
    }
)
"""Options that all commands with access to ECS have, so that the variable may leave out the command's name."""


def add_variables(command: str, params: Iterable[Any]) -> None:
    """Let each option of a command take its value from the environment, where the command line has none.

    A repeated option takes a value from each line of its variable.
    """
    for param in params:
        option = next((name for name in param.opts if name.startswith("--")), None)
        if option is None or option in ("--help", "--version"):
            continue
        param.envvar = variables(command, option)
        param.show_envvar = False
        if getattr(param, "multiple", False):
            param.value_from_envvar = partial(_values, param)


def variables(command: str, option: str) -> list[str]:
    """Return the names of an option's variables, the first of which wins."""
    name = option.removeprefix("--").replace("-", "_").upper()
    own = f"{PREFIX}_{command.upper()}_{name}"
    return [own, f"{PREFIX}_{name}"] if option in SHARED and command != "local" else [own]


def _values(param: Any, context: Any) -> list[str] | None:
    given: str | None = param.resolve_envvar_value(context)
    return None if given is None else given.splitlines()
