"""`aioecs tasks`: its options, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._app import run
from aioecs.cli._commands.tasks import Status
from aioecs.cli._display.output_format import TABLE, OutputFormat, Rendering
from aioecs.cli._options import Order

JSON = Rendering(OutputFormat.JSON)


def test_named_tasks_take_no_filter(capsys: pytest.CaptureFixture[str]) -> None:
    """What they are doesn't matter."""
    assert run(["tasks", "a", "--family", "f"]) == 2
    assert "leave the filters out" in capsys.readouterr().err


def test_bad_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """What can't be a status is refused before anything is looked up."""
    assert run(["tasks", "--desired-status", "maybe"]) == 2
    assert "'--desired-status'" in capsys.readouterr().err


def test_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option is a member of the request; without any the request has none."""
    seen: list[Any] = []

    async def run_with_client(access: Access, streams: object, action: Any) -> int:
        seen.append((access, action.args[0], action.keywords))
        return 0

    monkeypatch.setattr("aioecs.cli._read_command.run_with_client", run_with_client)
    filters = "--family f --started-by me --desired-status stopped --container-instance i"
    assert run(["tasks", "--cluster", "c", *filters.split(), "--sort", "status", "--json", "--region", "r"]) == 0
    assert run(["tasks"]) == 0
    wanted = aioecs.ListTasksRequest(
        cluster="c", family="f", started_by="me", desired_status="STOPPED", container_instance="i"
    )
    assert seen == [
        (Access(region="r"), wanted, {"order": Order.STATUS, "shown": JSON}),
        (Access(), aioecs.ListTasksRequest(), {"order": Order.CREATED, "shown": TABLE}),
    ]


def test_each_status_can_be_asked_for() -> None:
    """The option takes the names that ECS has."""
    assert [*map(str, Status)] == [*map(str, aioecs.types.DesiredStatus)]
