"""Tasks that are named in words or on standard input."""

from __future__ import annotations

import io

import pytest

from aioecs.cli._named import cluster_in, named, read_names
from aioecs.cli._options import UsageError

ARN = "arn:aws:ecs:us-east-1:123456789012:task/render/0123456789abcdef0123456789abcdef"


def test_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named once, in order; a dash stands for standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO("c\na\n"))
    assert named(["b", "-", "a", "b"]) == ["b", "c", "a"]


def test_lines() -> None:
    """They are ids, ARNs, or what the commands write; what names no task is passed over."""
    given = ["a\n", "\n", ' {"task_arn": "b"}\n', '{"task_arn": null}', '{"summary": {}}', ARN]
    assert list(read_names(given)) == ["a", "b", ARN]
    with pytest.raises(UsageError, match="line 2 of standard input is no JSON"):
        list(read_names(["a", "{oops"]))


@pytest.mark.parametrize(
    ("task", "cluster"), [(ARN, "render"), ("0123", None), ("arn:aws:ecs:us-east-1:123456789012:task/0123", None)]
)
def test_the_cluster(task: str, cluster: str | None) -> None:
    """It is in an ARN of the new format."""
    assert cluster_in(task) == cluster
