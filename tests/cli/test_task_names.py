"""Tasks that are named in arguments or on standard input."""

from __future__ import annotations

import io
import json

import pytest

from aioecs.cli._options import UsageError
from aioecs.cli._task_names import cluster_in, read_names, task_names

ARN = "arn:aws:ecs:us-east-1:123456789012:task/render/0123456789abcdef0123456789abcdef"


def test_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named once, in order; a dash stands for standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO("c\na\n"))
    assert task_names(["b", "-", "a", "b"]) == ["b", "c", "a"]


def test_standard_input_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8"))
    with pytest.raises(UsageError, match=r"^standard input is no text in utf-8"):
        task_names(["-"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('a\n\n {"task_arn": "b"}\n{"task_arn": null}\n{"summary": {}}\n' + ARN, ["a", "b", ARN]),
        (f"{ARN}\tb\tc\n", [ARN, "b", "c"]),
        (json.dumps({"taskArns": ["a", "b"]}), ["a", "b"]),
        (json.dumps({"taskArns": ["a", "b"]}, indent=4), ["a", "b"]),
        (json.dumps(["a", "b"], indent=4), ["a", "b"]),
        (json.dumps({"tasks": [{"taskArn": "a"}, {"taskArn": "b"}], "failures": []}, indent=4), ["a", "b"]),
        (json.dumps({"taskArns": []}), []),
        ("", []),
    ],
)
def test_what_names_tasks(text: str, names: list[str]) -> None:
    """Ids and ARNs with white space between them, what the commands write, and what the AWS CLI writes."""
    assert list(read_names(text)) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n{oops", "line 2 of standard input is no JSON"),
        ("[" * 100_000, "line 1 of standard input is no JSON"),
        ('a\n{"cluster": "c"}', "the JSON on line 2 of standard input names no task"),
        ('{"taskArns": [7]}', "the JSON on line 1 of standard input names no task"),
        ('{"taskArns": [{}]}', "the JSON on line 1 of standard input names no task"),
    ],
)
def test_what_names_no_task(text: str, message: str) -> None:
    """It is an error, before anything is sent."""
    with pytest.raises(UsageError, match=message):
        list(read_names(text))


@pytest.mark.parametrize("text", ["", " \n", '{"summary": {}}', '{"taskArns": []}'])
def test_standard_input_without_a_task(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error too: whoever wrote it meant to name some."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(UsageError, match="standard input names no task"):
        task_names(["a", "-"])


@pytest.mark.parametrize(
    ("task", "cluster"), [(ARN, "render"), ("0123", None), ("arn:aws:ecs:us-east-1:123456789012:task/0123", None)]
)
def test_the_cluster(task: str, cluster: str | None) -> None:
    """It is in an ARN of the new format."""
    assert cluster_in(task) == cluster
