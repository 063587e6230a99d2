"""`aioecs watch`: its options, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._app import run


def test_bad_arguments() -> None:
    """An interval that would not let ECS rest is refused."""
    assert run(["watch", "--interval", "0"]) == 2


@pytest.mark.parametrize("status", [0, 2, 130])
def test_the_options(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a part of what is watched, and how; an interrupt is its proper end."""
    seen: list[Any] = []

    async def run_with_client(access: Access, streams: object, action: Any) -> int:
        seen.append((access, action.__self__))
        return status

    monkeypatch.setattr("aioecs.cli._read_command.run_with_client", run_with_client)
    filters = ["--cluster", "c", "--family", "f", "--started-by", "me"]
    assert run(["watch", *filters, "--interval", "0.5", "--json", "--region", "r"]) == status % 130
    [(access, watching)] = seen
    assert access == Access(region="r")
    assert watching.request == aioecs.ListTasksRequest(cluster="c", family="f", started_by="me")
    assert (watching.as_json, watching.interval) == (True, 0.5)
