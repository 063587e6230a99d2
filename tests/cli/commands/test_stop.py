"""`aioecs stop`: its options, and what is wrong with them."""

from __future__ import annotations

import io
from typing import Any

import pytest

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._app import run
from aioecs.cli._cluster.stop_run import StopRun

ARN = "arn:aws:ecs:us-east-1:123456789012:task/render/0123456789abcdef0123456789abcdef"


pytestmark = pytest.mark.usefixtures("credentials")


@pytest.mark.parametrize("args", [["stop"], ["stop", "a", "--family", "f"]])
def test_either_names_or_what_they_have_in_common(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One of the two is needed, and not both."""
    assert run(args) == 2
    assert "name tasks, or give --family or --started-by" in capsys.readouterr().err


def test_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks from the arguments and from standard input, each once; the cluster that is named wins over the ARN's."""
    seen: list[Any] = []

    async def go(self: StopRun, access: Access) -> int:
        seen.append((list(self.requests), self.as_json, access))
        return 0

    monkeypatch.setattr(StopRun, "go", go)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"b\n{ARN}\na\n"))
    assert run(["stop", "a", "-", "--reason", "why", "--json", "--region", "r"]) == 0
    assert run(["stop", ARN, "--cluster", "c"]) == 0
    made = [
        aioecs.StopTaskRequest(task="a", reason="why"),
        aioecs.StopTaskRequest(task="b", reason="why"),
        aioecs.StopTaskRequest(cluster="render", task=ARN, reason="why"),
    ]
    assert seen[0] == (made, True, Access(region="r"))
    assert seen[1][0] == [aioecs.StopTaskRequest(cluster="c", task=ARN)]
    assert run(["stop"]) == 2
