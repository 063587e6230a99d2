"""`aioecs instances`: its options."""

from __future__ import annotations

from typing import Any

import pytest

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._app import run
from aioecs.cli._commands.instances import InstanceStatus
from aioecs.cli._display.output_format import TABLE, OutputFormat, Rendering

JSON = Rendering(OutputFormat.JSON)


def test_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option is a member of the request; without any the request has none."""
    seen: list[Any] = []

    async def run_with_client(access: Access, streams: object, action: Any) -> int:
        seen.append((access, action.args[0], action.keywords))
        return 0

    monkeypatch.setattr("aioecs.cli._read_command.run_with_client", run_with_client)
    args = ["--cluster", "c", "--filter", "attribute:a exists", "--status", "draining", "--json", "--region", "r"]
    assert run(["instances", *args]) == 0
    assert run(["instances"]) == 0
    wanted = aioecs.ListContainerInstancesRequest(cluster="c", filter="attribute:a exists", status="DRAINING")
    assert seen == [
        (Access(region="r"), wanted, {"shown": JSON}),
        (Access(), aioecs.ListContainerInstancesRequest(), {"shown": TABLE}),
    ]


def test_each_status_can_be_asked_for() -> None:
    """The option takes the names that ECS has."""
    assert [*map(str, InstanceStatus)] == [*map(str, aioecs.types.ContainerInstanceStatus)]
