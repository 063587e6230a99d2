"""Groups of options: what typer sees of a command that has one, and what the command gets."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from aioecs.cli._option_groups import with_group


def make(*, colour: str = "red", size: int = 3) -> Group:  # type: ignore[name-defined]  # noqa: F821 never evaluated
    """Make a value of the options."""
    return colour * size


@pytest.mark.parametrize(("first", "listed"), [(False, ["name", "colour", "size"]), (True, ["colour", "size", "name"])])
def test_a_command_with_a_group(first: bool, listed: list[str]) -> None:
    """Typer sees the options before or after the command's own; the command gets the value that is made of them."""

    @with_group(make, "group", first=first)
    def command(name: str = "n", *, group: Group) -> int:  # type: ignore[name-defined]  # noqa: F821
        assert (name, group) == ("x", "redred")
        return 7

    assert list(inspect.signature(command).parameters) == list(command.__annotations__) == listed
    assert command(name="x", size=2) == 7


def test_two_groups() -> None:
    """A command may have several."""
    seen: list[Any] = []

    @with_group(lambda *, far: far, "where")
    @with_group(make, "group")
    def command(*, group: Any, where: Any) -> int:
        seen.append((group, where))
        return 0

    assert list(inspect.signature(command).parameters) == ["colour", "size", "far"]
    assert command(far=1, size=1) == 0
    assert seen == [("red", 1)]
