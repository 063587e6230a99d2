"""Environment variables in place of options."""

from __future__ import annotations

import pytest

from aioecs.cli._access import Access
from aioecs.cli._app import run
from aioecs.cli._start.options import StartOptions
from aioecs.cli._start.run import Run
from aioecs.cli._variables import variables


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[StartOptions]:
    """Keep the options of runs that are not run."""
    seen: list[StartOptions] = []

    class Kept(Run):
        async def go(self) -> int:
            seen.append(self._options)
            return 0

    monkeypatch.setattr("aioecs.cli._start.run.Run", Kept)
    return seen


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("start", "--count", ["AIOECS_START_COUNT"]),
        ("start", "--task-definition", ["AIOECS_START_TASK_DEFINITION"]),
        ("tasks", "--cluster", ["AIOECS_TASKS_CLUSTER", "AIOECS_CLUSTER"]),
        ("local", "--cluster", ["AIOECS_LOCAL_CLUSTER"]),
    ],
)
def test_names(command: str, option: str, names: list[str]) -> None:
    """The command's own, and for options of access one for all commands."""
    assert variables(command, option) == names


def test_values(monkeypatch: pytest.MonkeyPatch, seen: list[StartOptions]) -> None:
    """Each kind of option: values, flags, repeated ones with a value on each line."""
    given = {
        "AIOECS_CLUSTER": "shared",
        "AIOECS_START_CLUSTER": "own",
        "AIOECS_REGION": "eu-west-1",
        "AIOECS_START_TASK_DEFINITION": "td",
        "AIOECS_START_COUNT": "7",
        "AIOECS_START_WAIT": "1",
        "AIOECS_START_MEMBER_OF": "a == 1\nb == 2",
        "AIOECS_START_ENV": "A=x y",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert run(["start"]) == 0
    assert seen == [
        StartOptions(
            cluster="own",
            task_definition="td",
            count=7,
            wait=True,
            member_of=("a == 1", "b == 2"),
            environment=(("A", "x y"),),
            access=Access(region="eu-west-1"),
        )
    ]


def test_an_option_wins(monkeypatch: pytest.MonkeyPatch, seen: list[StartOptions]) -> None:
    """What stands in the command line counts."""
    monkeypatch.setenv("AIOECS_START_COUNT", "7")
    monkeypatch.setenv("AIOECS_CLUSTER", "shared")
    assert run(["start", "--count", "3", "--task-definition", "td", "--cluster", "c"]) == 0
    assert [(each.count, each.cluster) for each in seen] == [(3, "c")]


def test_a_bad_value(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused as the option's would be."""
    monkeypatch.setenv("AIOECS_START_COUNT", "many")
    assert run(["start", "--local"]) == 2
    assert "--count" in capsys.readouterr().err


def test_help_says_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Not beside each option."""
    assert run(["start", "--help"]) == 0
    out = capsys.readouterr().out
    assert "AIOECS_START_COUNT" in out
    assert "env var" not in out
