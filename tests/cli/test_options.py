"""How arguments become values, and that errors show no secrets."""

from __future__ import annotations

import pytest

from aioecs.cli._options import Policy, UsageError, instances, pairs, spread_option
from aioecs.cli._options import refused as refused_by
from aioecs.errors import ConfigurationError, InvalidRequest

ARN = "arn:aws:ecs:eu-west-1:123456789012:container-instance/render/4c543eed"


@pytest.mark.parametrize(
    ("args", "read"),
    [
        ([], ()),
        (["A=1"], (("A", "1"),)),
        (["A=", "B=x=y"], (("A", ""), ("B", "x=y"))),
        (["A= spaced "], (("A", " spaced "),)),
    ],
)
def test_pairs(args: list[str], read: tuple[tuple[str, str], ...]) -> None:
    """The value is what follows the first equals sign, as it stands."""
    assert pairs(args, "--env") == read


@pytest.mark.parametrize("arg", ["hunter2", "=hunter2", " =hunter2", ""])
def test_a_bad_pair_is_named_by_its_position(arg: str) -> None:
    """An argument that is no pair may be a secret: the error doesn't repeat it."""
    with pytest.raises(UsageError, match="--env needs NAME=VALUE, which number 2 of them is not") as refused:
        pairs(["A=1", arg], "--env")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("lists", "read"),
    [
        ([], ()),
        (["a,b"], ("a", "b")),
        (["a, b", ARN], ("a", "b", ARN)),
        (["a,a"], ("a", "a")),
    ],
)
def test_instances(lists: list[str], read: tuple[str, ...]) -> None:
    """They are separated by commas, in one option or several; one may stand twice."""
    assert instances(lists) == read


@pytest.mark.parametrize(("given", "message"), [("a b", "'a b'"), ("a,,b", "empty"), ("", "empty"), ("a,é", "'é'")])
def test_bad_instances(given: str, message: str) -> None:
    """What is neither an id nor an ARN is named."""
    with pytest.raises(UsageError, match=r"^--instances: ") as refused:
        instances([given])
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("args", "spread"),
    [
        ("start --json", "start --json"),
        ("start --command a b --json", "start --command=a --command=b --json"),
        ("start --command a - b", "start --command=a --command=- --command=b"),
        ("start --command a --json -- --frame 17", "start --command=a --json --command=--frame --command=17"),
        ("start --command -- --frame", "start --command=--frame"),
        ("start -- a b", "start --command=a --command=b"),
        ("start --command a --command b", "start --command=a --command=b"),
        ("start --command=a b", "start --command=a b"),
        ("start --", "start"),
        ("start -- a -- b", "start --command=a --command=-- --command=b"),
    ],
)
def test_spread_option(args: str, spread: str) -> None:
    """A command takes the arguments up to the next option, and those after a double dash."""
    assert spread_option(args.split(), "--command") == spread.split()


@pytest.mark.parametrize("args", ["start --command", "start --command --json", "start --command --"])
def test_a_command_without_arguments(args: str) -> None:
    """A command without an argument is refused, rather than taking the next option for one."""
    with pytest.raises(UsageError, match="--command needs at least one argument"):
        spread_option(args.split(), "--command")


def test_policies_are_those_of_the_client() -> None:
    """Every policy is one that the client takes."""
    import aioecs

    for policy in Policy:
        aioecs.Client(on_cancel=policy.value)
    with pytest.raises((ConfigurationError, ValueError)):
        aioecs.Client(on_cancel="other")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InvalidRequest("started_by", "at most 36", "37"), "--started-by: at most 36, not 37"),
        (InvalidRequest("tags[3].key", "at most 128"), "--tags: at most 128"),
        (InvalidRequest("task", "is required"), "TASK: is required"),
    ],
)
def test_a_broken_rule_names_the_option(error: InvalidRequest, message: str) -> None:
    """As the user typed it, whichever part of the member breaks it."""
    assert str(refused_by(error, {"task": "TASK"})) == message
