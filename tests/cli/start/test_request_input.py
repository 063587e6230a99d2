"""What users already have: JSON and YAML of the AWS CLI, networks, volumes, tags, files of variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aioecs import AwsVpcConfiguration, ContainerOverride, NetworkConfiguration, TaskOverride
from aioecs.cli._options import UsageError
from aioecs.cli._start import request_input as _request_input

OPTION = "--it"


def network(*given: Any, public_ip: bool | None = None) -> AwsVpcConfiguration | None:
    """Read a network."""
    made = _request_input.network(*given, public_ip=public_ip)
    return None if made is None else made.awsvpc_configuration


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_json(tmp_path: Path, prefix: str) -> None:
    """As text, or from a file by its name or its URL."""
    path = tmp_path / "a.json"
    path.write_text('{"a": [1]}')
    assert _request_input.read_json(OPTION, f"{prefix}{path}") == {"a": [1]}
    assert _request_input.read_json(OPTION, ' {"a": [1]}') == {"a": [1]}


def test_yaml(tmp_path: Path) -> None:
    """As text of several lines, or from a file."""
    path = tmp_path / "a.yaml"
    path.write_text("a:\n- 1\n")
    assert _request_input.read_yaml(OPTION, f"file://{path}") == {"a": [1]}
    assert _request_input.read_yaml(OPTION, "a:\n- 1\n") == {"a": [1]}
    with pytest.raises(UsageError, match=r"^--it: no YAML in line 2$"):
        _request_input.read_yaml(OPTION, "hunter2: [\n")


def test_yaml_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, one line says how to get it."""
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(UsageError, match=r"^--it needs PyYAML: pip install pyyaml$"):
        _request_input.read_yaml(OPTION, "a: 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"hunter2"', "--it: no JSON: Expecting ':' delimiter in line 1, column 11"),
        ("[" * 100_000, "--it: no JSON: it is nested too deeply"),
        ("/nowhere/a.json", "--it: /nowhere/a.json: No such file or directory"),
        ("file:///nowhere/a.json", "--it: /nowhere/a.json: No such file or directory"),
        ("a\0b", "--it: "),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    """It is said without what was read."""
    with pytest.raises(UsageError) as refused:
        _request_input.read_json(OPTION, text)
    assert str(refused.value).startswith(message)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are refused."""
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is no text in UTF-8"):
        _request_input.read_file(OPTION, str(tmp_path / "a"))


def test_overrides() -> None:
    """As ECS writes them."""
    plain = {"cpu": "512", "containerOverrides": [{"name": "main", "command": ["a"]}]}
    expected = TaskOverride(cpu="512", container_overrides=[ContainerOverride(name="main", command=["a"])])
    assert _request_input.overrides(OPTION, json.dumps(plain)) == expected


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "--it: expected an object, not a list"),
        ({"container_overrides": []}, "--it: TaskOverride.container_overrides: goes by containerOverrides in a dict"),
        ({"containerOverride": []}, "--it: ECS has no member containerOverride"),
        ({"containerOverrides": [{"env": "hunter2"}]}, "--it: ECS has no member container_overrides.env"),
    ],
)
def test_members_that_ecs_does_not_know(plain: Any, message: str) -> None:
    """They are refused: ECS would refuse them, or do without."""
    with pytest.raises(UsageError) as refused:
        _request_input.overrides(OPTION, json.dumps(plain))
    assert str(refused.value) == message


def test_volumes() -> None:
    """An object for each, or a list of them."""
    one = {"name": "a", "managedEBSVolume": {"sizeInGiB": 9, "roleArn": "arn:aws:iam::123456789012:role/r"}}
    read = _request_input.volumes(OPTION, [json.dumps(one), json.dumps([one | {"name": "b"}])])
    assert [each.name for each in read] == ["a", "b"]


NETWORK = AwsVpcConfiguration(subnets=["subnet-1", "subnet-2"], security_groups=["sg-1"], assign_public_ip="ENABLED")


@pytest.mark.parametrize(
    "given",
    [
        (
            '{"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], '
            '"assignPublicIp": "ENABLED"}}'
        ),
        "awsvpcConfiguration={subnets=[subnet-1,subnet-2],securityGroups=[sg-1],assignPublicIp=ENABLED}",
        "awsvpcConfiguration={ assignPublicIp=ENABLED, subnets=[subnet-1, subnet-2], securityGroups=[sg-1] }",
    ],
)
def test_network(given: str) -> None:
    """As JSON, and in the AWS CLI's shorthand."""
    assert network(given, [], []) == NETWORK


def test_network_by_single_options() -> None:
    """They stand alone, or replace members of a network that is given."""
    assert network(None, [], []) is None
    assert network(None, ["subnet-1,subnet-2"], ["sg-1"], public_ip=True) == NETWORK
    given = "awsvpcConfiguration={subnets=[a]}"
    assert network(given, [], ["sg-1", "sg-2"], public_ip=False) == AwsVpcConfiguration(
        subnets=["a"], security_groups=["sg-1", "sg-2"], assign_public_ip="DISABLED"
    )
    with pytest.raises(UsageError, match="--subnets is missing"):
        network(None, [], ["sg-1"])
    with pytest.raises(UsageError, match=r"^--network-configuration: expected awsvpcConfiguration="):
        network("awsvpcConfiguration={subnets=[a}", [], [])
    assert isinstance(_request_input.network(None, ["a"], [], public_ip=None), NetworkConfiguration)


def test_tags() -> None:
    """In each of the three forms."""
    given = ["a=1", "key=b,value=x=y", "key=c", '[{"key": "d", "value": "4"}, {"key": "e"}]']
    expected = (("a", "1"), ("b", "x=y"), ("c", ""), ("d", "4"), ("e", ""))
    assert _request_input.tags(OPTION, given) == expected
    with pytest.raises(UsageError, match=r"^--it needs NAME=VALUE, which number 2 of them is not$"):
        _request_input.tags(OPTION, ["a=1", "hunter2"])
    with pytest.raises(UsageError, match="expected a list of"):
        _request_input.tags(OPTION, ["[1]"])


def test_env_files(tmp_path: Path) -> None:
    """Values are literal, a bare name takes the variable's value here, and the last of a name counts."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("# a comment\n\nA=1\nB='x y' # z\nHERE\nNOT_HERE\nEMPTY=\nU=a\u2028b\x0c\n", encoding="utf-8")
    second.write_text("A=2\n")
    read = _request_input.env_files(OPTION, [str(first), str(second)], {"HERE": "h"})
    assert read == (("A", "2"), ("B", "'x y' # z"), ("HERE", "h"), ("EMPTY", ""), ("U", "a\u2028b\x0c"))
    first.write_text("A=1\n=hunter2\n")
    with pytest.raises(UsageError) as refused:
        _request_input.env_files(OPTION, [str(first)], {})
    assert str(refused.value) == f"--it: line 2 of {first} is not NAME=VALUE"
